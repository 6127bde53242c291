// Everything that the pages say. A text that a language lacks does not compile.
import { english } from "./english";
import { kazakh } from "./kazakh";
import { russian } from "./russian";

export const languages = ["en", "ru", "kk"] as const;
export type Language = (typeof languages)[number];

/** Forms of a counted noun, by the rules of `Intl.PluralRules`. */
export interface Plural {
    one?: string;
    few?: string;
    many?: string;
    other: string;
}

type Loose<T> = { [Key in keyof T]: T[Key] extends string ? string : T[Key] extends Plural ? Plural : Loose<T[Key]> };
export type Texts = Loose<typeof english>;

export const texts: Record<Language, Texts> = { en: english, ru: russian, kk: kazakh };
export const ownNames: Record<Language, string> = { en: "English", ru: "Русский", kk: "Қазақша" };
