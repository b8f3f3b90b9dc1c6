// The one place where text of a model becomes nodes of the page.
//
// markdown-it passes no HTML through; then DOMPurify keeps only what is listed here. Images become
// links: nothing is fetched because an answer names it.

import { DOMPurify, MarkdownIt } from "../vendor/markdown.js";

const TAGS = [
  ...["a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre"],
  ...["s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"],
];
const SAFE = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ["class", "href", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true });
const { escapeHtml } = markdown.utils;
markdown.renderer.rules.image = (tokens, index) => {
  const address = escapeHtml(tokens[index].attrGet("src") ?? "");
  return `<a href="${address}">${escapeHtml(tokens[index].content || address)}</a>`;
};
for (const cell of ["td_open", "th_open"]) {
  // The policy of the page forbids styles in attributes.
  markdown.renderer.rules[cell] = (tokens, index, options, _env, self) => {
    const token = tokens[index];
    const align = /text-align:(\w+)/.exec(token.attrGet("style") ?? "");
    token.attrs = align ? [["class", align[1]]] : null;
    return self.renderToken(tokens, index, options);
  };
}
DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A" && node.hasAttribute("href")) {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

/** Return the nodes of a Markdown text that nobody vouches for. */
export function nodesOf(text) {
  return DOMPurify.sanitize(markdown.render(text), SAFE);
}

let highlighter = null;

/** Colour the code in an element whose text is complete; an unknown language stays as it is. */
export async function highlight(code) {
  const language = /(?:^|\s)language-(\S+)/.exec(code.className)?.[1];
  if (!language) return;
  highlighter ??= import("../vendor/highlight.js");
  const { default: hljs } = await highlighter;
  if (!hljs.getLanguage(language)) return;
  const { value } = hljs.highlight(code.textContent, { language, ignoreIllegals: true });
  code.replaceChildren(DOMPurify.sanitize(value, SAFE));
}
