// The list of conversations, and what concerns all of them.

import { html, useRef, useState } from "../vendor/preact.js";
import { Icon, t } from "../lib/page.js";
import { matching } from "./conversation.js";

function Entry({ talk, here, choose, remove }) {
  const [sure, setSure] = useState(false);
  const title = talk.title || t("talk.untitled");
  if (sure) {
    return html`<li class="entry sure"><span class="small">${t("talk.remove.sure")}</span>
      <button type="button" class="danger" onClick=${() => remove(talk.id)}>${t("remove")}</button>
      <button type="button" onClick=${() => setSure(false)}>${t("keep")}</button></li>`;
  }
  return html`<li class="entry">
    <button type="button" class="plain name" aria-current=${here ? "true" : null} onClick=${() => choose(talk.id)}>${title}</button>
    <button type="button" class="plain" aria-label=${t("talk.remove", { title })} onClick=${() => setSure(true)}><${Icon} name="trash" /></button>
  </li>`;
}

function saved(text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `conversations-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** `chosen` is called after a conversation was chosen, to close the drawer of a narrow page. */
export function Side({ chat, chosen = () => {} }) {
  const file = useRef(null);
  const [said, setSaid] = useState("");
  const [query, setQuery] = useState("");
  // One beside another is opened with that.
  const listed = chat.talks.filter((talk) => !chat.talks.some((each) => each.id === talk.beside));
  const shown = matching(listed, query);
  const choose = (id) => {
    chat.select(id);
    chosen();
  };
  const create = () => {
    chat.create();
    chosen();
  };
  const take = async (event) => {
    const [picked] = event.target.files;
    event.target.value = "";
    if (!picked) return;
    const count = await chat.imported(await picked.text());
    setSaid(count === null ? t("import.failed") : t("import.done", { count }));
  };
  return html`
    <button type="button" class="new" onClick=${create}><${Icon} name="plus" />${t("talk.new")}</button>
    ${chat.talks.length > 1 && html`<input type="search" data-search aria-label=${t("talks.find")} placeholder=${t("talks.find")} value=${query} onInput=${(event) => setQuery(event.target.value)} />`}
    ${shown.length === 0 && html`<p class="soft small none" role="status">${t(query ? "talks.find.none" : "talk.none")}</p>`}
    <ul class="talks">${shown.map((talk) => html`<${Entry} key=${talk.id} talk=${talk} here=${talk.id === chat.talk?.id} choose=${choose} remove=${(id) => chat.remove(id)} />`)}</ul>
    <footer>
      ${!chat.store.lasts && html`<p class="notice warn small">${t("problem.store")}</p>`}
      <p class="small soft" role="status">${said}</p>
      <div class="row">
        <button type="button" class="plain small" disabled=${!chat.talks.length} onClick=${async () => saved(await chat.exported())}>${t("export")}</button>
        <button type="button" class="plain small" onClick=${() => file.current.click()}>${t("import")}</button>
        <input ref=${file} type="file" accept="application/json,.json" hidden onChange=${take} aria-label=${t("import")} />
      </div>
      <p class="small soft">${t("talk.where")}</p>
    </footer>`;
}
