// Why the gateway did not do something, in a sentence.

import { t } from "../lib/page.js";

export function sayRefusal(error) {
  if (error.code === "network") return t("offline");
  return error.message || t("problem.other", { code: error.code || error.status });
}
