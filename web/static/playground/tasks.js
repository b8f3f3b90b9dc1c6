// What models do with texts beside conversations: vectors of texts, ranks of documents.

import { html, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { Outcome, Sheet, useModel, useTask } from "./task.js";
import { likeness, lines, shade } from "./vectors.js";

export { Speech, Transcription } from "./sounding.js";

export function Embeddings({ models, headers, keyed }) {
  const [model, choice] = useModel(models);
  const [text, setText] = useState(t("embed.sample"));
  const [state, ask] = useTask(headers);
  const texts = lines(text);
  const made = () => ({ model, input: texts });
  const send = () => ask("/v1/embeddings", made(), async (answer) => {
    const { data, usage } = await answer.json();
    const vectors = data.toSorted((one, other) => one.index - other.index).map((each) => each.embedding);
    return { texts, table: likeness(vectors), size: vectors[0].length, tokens: usage?.prompt_tokens };
  });
  return html`<${Sheet} name="embed" about=${t("embed.text")} send=${send} kind="embed" keyed=${keyed} made=${made}>${choice}
    <label>${t("embed.lines")}<textarea rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></label>
    <div class="row"><button type="submit" class="primary" disabled=${state.since !== null || !texts.length}>${t("embed.send")}</button></div>
    <${Outcome} state=${state} model=${model}>${(found) => {
      const apart = found.table.flatMap((row, index) => row.filter((_, other) => other !== index));
      return html`<p class="soft small">${t("embed.size", { size: format.number(found.size), tokens: format.number(found.tokens) })}</p>
        <div class="table" tabindex="0" role="region" aria-label=${t("embed.table")}><table><thead><tr><td></td>${found.texts.map((_, index) => html`<th scope="col">${index + 1}</th>`)}</tr></thead>
        <tbody>${found.table.map((row, index) => html`<tr><th scope="row">${index + 1} · ${found.texts[index]}</th>
          ${row.map((each, other) => html`<td class=${index === other ? "same" : `shade-${shade(each, apart)}`}>${format.score(each)}</td>`)}</tr>`)}</tbody></table></div>`;
    }}<//><//>`;
}

export function Rerank({ models, headers, keyed }) {
  const [model, choice] = useModel(models);
  const [query, setQuery] = useState(t("rerank.sample.query"));
  const [text, setText] = useState(t("rerank.sample"));
  const [state, ask] = useTask(headers);
  const documents = lines(text);
  const made = () => ({ model, query, documents });
  const send = () => ask("/v1/rerank", made(), async (answer) => {
    const { results } = await answer.json();
    return results.toSorted((one, other) => other.relevance_score - one.relevance_score).map((each) => ({ text: documents[each.index], score: each.relevance_score }));
  });
  return html`<${Sheet} name="rerank" about=${t("rerank.text")} send=${send} kind="rerank" keyed=${keyed} made=${made}>${choice}
    <label>${t("rerank.query")}<input value=${query} onInput=${(event) => setQuery(event.target.value)} /></label>
    <label>${t("rerank.lines")}<textarea rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></label>
    <div class="row"><button type="submit" class="primary" disabled=${state.since !== null || !documents.length || !query.trim()}>${t("rerank.send")}</button></div>
    <${Outcome} state=${state} model=${model}>${(found) => html`<ol class="ranks" aria-label=${t("rerank.ranks")}>${found.map((each) => html`<li><span class="n">${format.score(each.score)}</span> ${each.text}</li>`)}</ol>`}<//><//>`;
}
