// The language of the page: its texts and its formats.

import { formats } from "./format.js";
import { chosen, speaker } from "./words.js";
import en from "../texts/en.js";

export const language = chosen();
const own = language === "en" ? en : (await import(`../texts/${language}.js`)).default;
export const t = speaker(own, en);
export const format = formats(language);
