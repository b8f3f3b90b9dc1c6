// Why the gateway did not do something, in a sentence.

import { format, t } from "./page.js";

export function sayRefusal(error) {
  if (error.code === "network") return t("offline");
  const later = error.after ? ` ${t("problem.later", { time: format.seconds(error.after) })}` : "";
  return error.message + later || t("problem.other", { code: error.code || error.status });
}
