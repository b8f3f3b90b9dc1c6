// A request as code, in a dialog.

import { html, useEffect, useState } from "../vendor/preact.js";
import { Dialog } from "../lib/dialog.js";
import { Code, t, Tabs } from "../lib/page.js";
import { codes, shortened } from "./code.js";

const NAMES = { curl: "curl", python: "Python", javascript: "JavaScript" };

/** `made` returns the body of the request, or a promise of it; what is copied has it whole. */
export function CodeView({ made, kind, keyed, close }) {
  const [tab, setTab] = useState("curl");
  const [body, setBody] = useState(null);
  useEffect(() => {
    Promise.resolve(made()).then(setBody);
  }, []);
  const text = (shown) => codes(location.origin, shown, kind, keyed)[tab];
  return html`<${Dialog} title=${t("code")} close=${close}>
    <${Tabs} label=${t("code")} names=${NAMES} chosen=${tab} choose=${setTab} id="code" />
    ${body && html`<${Code} id="code" text=${text(shortened(body))} whole=${text(body)} label=${NAMES[tab]} />`}
    ${keyed && html`<p class="small soft">${t("code.key")}</p>`}
  <//>`;
}
