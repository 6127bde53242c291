//! What a catalogue's keys mean: the app, its policies, its events and their properties.

use tuman_privacy::catalogue::{
    Catalogue as AllowList, Declaration, DeclarationError, EventDeclaration, Purposes, is_name,
};
use tuman_privacy::device::PLATFORMS;
use tuman_privacy::properties::PropertyDeclaration;

use super::source::{Field, Problems, Table};

/// Most events, values of a property, versions.
const MOST: usize = 500;
/// Most properties of an event: as many as a report may send with one.
const MOST_PROPERTIES: usize = 64;
/// Most bounds of a bucketed number.
const MOST_BUCKETS: usize = 50;

const NAME_RULE: &str = "a name has lower-case letters, digits, `_`; at most 60";
const KINDS: &str = "{ boolean = true }, { enum = [\"a\", \"b\"] } or { buckets = [10, 100] }";

/// What a catalogue says of its app and events.
#[derive(Default)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) platforms: Vec<String>,
    pub(super) declaration: Declaration,
    places: Places,
}

/// Where each name is declared: what it is, the name, its line; in the order of the declaration.
#[derive(Default)]
struct Places(Vec<(&'static str, String, usize)>);

impl Places {
    fn add(&mut self, what: &'static str, name: &str, line: usize) {
        self.0.push((what, name.to_owned(), line));
    }

    /// Takes the next place of a name, so that the second problem with a name is at its second place.
    fn next(&mut self, what: &str, name: &str) -> Option<usize> {
        let at = self.0.iter().position(|(kind, known, _)| *kind == what && known == name)?;
        Some(self.0.remove(at).2)
    }
}

impl Form {
    /// Reads the tables `app`, `policy` and `events` out of the top table.
    pub(super) fn read(top: &mut Table<'_>, problems: &mut Problems) -> Form {
        let mut form = Form::default();
        match top.take("app").and_then(|field| field.table(problems)) {
            Some(app) => form.app(app, problems),
            None => problems.missing(1, "declares no [app] with its id"),
        }
        let policies = top.take("policy").map(|field| field.list(problems)).unwrap_or_default();
        for policy in policies {
            form.policy(&policy, problems);
        }
        if form.declaration.policies.is_empty() {
            problems.missing(1, "declares no [[policy]]: without one, no consent can be recorded");
        }
        let events = top.take("events").and_then(|field| field.table(problems)).map(Table::take_all);
        let events = events.unwrap_or_default();
        if let Some(one_too_many) = events.get(MOST) {
            problems.add(one_too_many.line, format!("declares {} events: at most {MOST}", events.len()));
        }
        for event in events {
            form.event(&event, problems);
        }
        form
    }

    /// Compiles the allow-list; what is wrong with it is named where it is declared.
    pub(super) fn compile(&mut self, problems: &mut Problems) -> Option<AllowList> {
        let errors = match AllowList::compile(&self.declaration) {
            Ok(allow_list) => return Some(allow_list),
            Err(errors) => errors,
        };
        for error in errors {
            let line = match &error {
                DeclarationError::Twice { what, name } => {
                    let first = self.places.next(what, name);
                    self.places.next(what, name).or(first)
                }
                DeclarationError::SharedCode { first, second } => ["version", "event", "value"]
                    .iter()
                    .find_map(|what| self.places.next(what, second).or_else(|| self.places.next(what, first))),
                DeclarationError::PersonalData { what: "value", name, .. } => self.places.next("label", name),
                DeclarationError::PersonalData { what, name, .. } => self.places.next(what, name),
            };
            problems.add(line.unwrap_or(1), error.to_string());
        }
        None
    }

    fn app(&mut self, mut app: Table<'_>, problems: &mut Problems) {
        match app.take("id") {
            Some(field) => {
                let id = field.text(problems).unwrap_or_default();
                let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
                if id.is_empty() || id.len() > 100 || !id.bytes().all(is_id) {
                    field.wrong("letters, digits, `.`, `-`, `_`; at most 100", problems);
                }
                id.clone_into(&mut self.declaration.app);
            }
            None => problems.missing(app.line, "[app] has no `id`"),
        }
        let name = app.take("name").and_then(|field| field.text(problems));
        self.name = name.filter(|name| !name.is_empty()).unwrap_or(&self.declaration.app).to_owned();
        for field in app.take("platforms").map(|field| field.list(problems)).unwrap_or_default() {
            let Some(platform) = field.text(problems) else { continue };
            if !PLATFORMS[1..].contains(&platform) {
                field.wrong(&format!("there are {}", PLATFORMS[1..].join(", ")), problems);
            } else if self.platforms.iter().any(|known| known == platform) {
                field.wrong(&format!("`{platform}` is declared twice"), problems);
            } else {
                self.platforms.push(platform.to_owned());
            }
        }
        let versions = app.take("versions").map(|field| field.list(problems)).unwrap_or_default();
        if let Some(one_too_many) = versions.get(MOST) {
            one_too_many.wrong(&format!("{} versions: at most {MOST}", versions.len()), problems);
        }
        for field in versions {
            let Some(version) = field.text(problems) else { continue };
            if version.is_empty() || version.len() > 40 || version == "other" || !version.is_ascii() {
                field.wrong("ASCII, at most 40 characters, not `other`", problems);
            }
            self.places.add("version", version, field.line);
            self.declaration.versions.push(version.to_owned());
        }
        app.end(&["id", "name", "platforms", "versions"], problems);
    }

    fn policy(&mut self, field: &Field<'_>, problems: &mut Problems) {
        let Some(mut policy) = field.table(problems) else { return };
        let Some(version) = policy.take("version") else {
            problems.missing(policy.line, "[[policy]] has no `version`");
            return policy.end(&["version", "purposes"], problems);
        };
        let name = version.text(problems).unwrap_or_default();
        if self.declaration.policies.iter().any(|(known, _)| known == name) {
            version.wrong(&format!("`{name}` is declared twice"), problems);
        }
        let mut purposes = Purposes::default();
        match policy.take("purposes") {
            Some(list) => {
                for purpose in list.list(problems) {
                    match purpose.text(problems) {
                        Some("usage") => purposes.usage = true,
                        Some("location") => purposes.location = true,
                        Some(_) => purpose.wrong("there are usage, location", problems),
                        None => {}
                    }
                }
            }
            None => problems.missing(policy.line, "[[policy]] has no `purposes`: a list of usage, location"),
        }
        self.declaration.policies.push((name.to_owned(), purposes));
        policy.end(&["version", "purposes"], problems);
    }

    fn event(&mut self, field: &Field<'_>, problems: &mut Problems) {
        let name = field.name;
        if !is_name(name) {
            problems.add(field.line, format!("event `{name}`: {NAME_RULE}"));
        }
        self.places.add("event", name, field.line);
        let mut event = EventDeclaration { name: name.to_owned(), properties: Vec::new() };
        if let Some(mut table) = field.table(problems) {
            let props = table.take("props").and_then(|props| props.table(problems)).map(Table::take_all);
            let props = props.unwrap_or_default();
            if let Some(one_too_many) = props.get(MOST_PROPERTIES) {
                let what = format!("event `{name}` has {} properties: at most {MOST_PROPERTIES}", props.len());
                problems.add(one_too_many.line, what);
            }
            for field in props {
                if !is_name(field.name) {
                    problems.add(field.line, format!("property `{}`: {NAME_RULE}", field.name));
                }
                if let Some(declaration) = self.property(name, &field, problems) {
                    event.properties.push((field.name.to_owned(), declaration));
                }
            }
            table.end(&["props"], problems);
        }
        self.declaration.events.push(event);
    }

    fn property(&mut self, event: &str, field: &Field<'_>, problems: &mut Problems) -> Option<PropertyDeclaration> {
        self.places.add("property", field.name, field.line);
        let mut table = field.table(problems)?;
        let (boolean, words, buckets) = (table.take("boolean"), table.take("enum"), table.take("buckets"));
        table.end(&["boolean", "enum", "buckets"], problems);
        let declaration = match (boolean, words, buckets) {
            (Some(boolean), None, None) => {
                if boolean.boolean(problems) == Some(false) {
                    field.wrong(&format!("expected {KINDS}"), problems);
                }
                PropertyDeclaration::Boolean
            }
            (None, Some(words), None) => self.words(event, &words, field, problems),
            (None, None, Some(buckets)) => {
                let bounds: Vec<f64> =
                    buckets.list(problems).iter().filter_map(|bound| bound.number(problems)).collect();
                let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
                if bounds.is_empty() || bounds.len() > MOST_BUCKETS || !ascending {
                    field.wrong(&format!("buckets are 1 to {MOST_BUCKETS} ascending numbers"), problems);
                }
                PropertyDeclaration::Buckets(bounds)
            }
            _ => {
                field.wrong(&format!("expected {KINDS}"), problems);
                return None;
            }
        };
        Some(declaration)
    }

    fn words(
        &mut self,
        event: &str,
        list: &Field<'_>,
        field: &Field<'_>,
        problems: &mut Problems,
    ) -> PropertyDeclaration {
        let words = list.list(problems);
        if words.is_empty() || words.len() > MOST {
            field.wrong(&format!("an enum has 1 to {MOST} values"), problems);
        }
        let mut declared = Vec::new();
        for word in words {
            let Some(text) = word.text(problems) else { continue };
            if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
                word.wrong("a value has 1 to 100 characters, none of them a control character", problems);
            }
            self.places.add("label", text, word.line);
            self.places.add("value", &format!("{event}.{}={text}", field.name), word.line);
            declared.push(text.to_owned());
        }
        PropertyDeclaration::Enum(declared)
    }
}
