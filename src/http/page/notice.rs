//! The notice for users, as it stands in `sdk-spec/notice/`: headings, paragraphs and lists of Markdown, and no more.

use maud::{Markup, html};

use super::language::Language;
use crate::policy::{self, notice};

/// A part of the text.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// A heading; its level.
    Heading(usize, String),
    Paragraph(String),
    List(Vec<String>),
}

/// The notice, and what it is.
pub(super) fn notice_section(language: Language) -> Markup {
    let (heading, lead, language) = match language {
        Language::English => (
            "What an app tells its user",
            "The text that an app shows before it asks for consent; {{...}} are the app's to fill in.",
            policy::Language::En,
        ),
        Language::Russian => (
            "Что приложение сообщает пользователю",
            "Текст, который приложение показывает, прежде чем спросить согласие; {{...}} заполняет приложение.",
            policy::Language::Ru,
        ),
        Language::Kazakh => (
            "Қосымша пайдаланушыға не айтады",
            "Қосымша келісім сұрамас бұрын көрсететін мәтін; {{...}} орнын қосымша толтырады.",
            policy::Language::Kk,
        ),
    };
    html! {
        section class="card" aria-labelledby="notice" {
            h2 id="notice" { (heading) }
            p { (lead) }
            @for part in parts(notice(language)) {
                @match part {
                    Part::Heading(1, text) => h3 { (text) },
                    Part::Heading(_, text) => h4 { (text) },
                    Part::Paragraph(text) => p { (text) },
                    Part::List(items) => ul { @for item in items { li { (item) } } },
                }
            }
        }
    }
}

/// Reads the text. Lines that follow without a blank one belong to the part before them.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for block in text.split("\n\n") {
        let mut items: Vec<String> = Vec::new();
        let mut words: Vec<&str> = Vec::new();
        for line in block.lines() {
            if let Some(item) = line.strip_prefix("- ") {
                items.push(item.to_owned());
            } else if let Some(item) = items.last_mut() {
                item.push(' ');
                item.push_str(line.trim());
            } else if line.starts_with('#') {
                let heading = line.trim_start_matches('#');
                parts.push(Part::Heading(line.len() - heading.len(), heading.trim().to_owned()));
            } else {
                words.push(line.trim());
            }
        }
        if !words.is_empty() {
            parts.push(Part::Paragraph(words.join(" ")));
        }
        if !items.is_empty() {
            parts.push(Part::List(items));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_and_lines_joined() {
        let text = "# One\n\nA line\nand more.\n\n## Two\n\n- first\n  of two\n- second\n";
        let expected = [
            Part::Heading(1, "One".into()),
            Part::Paragraph("A line and more.".into()),
            Part::Heading(2, "Two".into()),
            Part::List(vec!["first of two".into(), "second".into()]),
        ];
        assert_eq!(parts(text), expected);
    }

    #[test]
    fn no_word_of_a_notice_is_lost_and_no_mark_is_left() {
        for (language, policy) in [
            (Language::English, policy::Language::En),
            (Language::Russian, policy::Language::Ru),
            (Language::Kazakh, policy::Language::Kk),
        ] {
            let shown = notice_section(language).into_string();
            let words = |text: &str| -> Vec<String> {
                text.split_whitespace().filter(|word| !matches!(*word, "#" | "##" | "-")).map(str::to_owned).collect()
            };
            let mut text = String::new();
            let mut in_tag = false;
            for character in shown.chars() {
                match character {
                    '<' => in_tag = true,
                    '>' => {
                        in_tag = false;
                        text.push(' ');
                    }
                    _ if !in_tag => text.push(character),
                    _ => {}
                }
            }
            let text = text.replace("&quot;", "\"").replace("&amp;", "&");
            let (shown, whole) = (words(&text), words(notice(policy)));
            assert!(shown.ends_with(&whole), "{shown:?}");
        }
    }
}
