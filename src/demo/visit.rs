//! What happens during one visit: a walk through the app, step by step, each step an event with its properties.
//!
//! Guarantees: events and properties of the catalogue, but for the bugs of version 3.2.0, which a few owners still use:
//! it sends the text of a search, an event that nobody declared, and places without consent.
//! Does not: know the phone or the time.

use super::chance::Chance;
use super::report::Json;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    AppOpen,
    PushOpened,
    ScreenView(&'static str),
    Search {
        with_text: bool,
    },
    ProductView,
    FavouriteAdded,
    AddToCart,
    OrderPlaced,
    Payment,
    Share,
    SettingsChanged,
    Error,
    ReviewPosted,
    /// Not declared: left in by mistake.
    DebugPing,
}

/// A walk through the app.
pub(super) struct Walk {
    at: Screen,
    category: &'static str,
    buggy: bool,
    begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Screen {
    Outside,
    Home,
    Results,
    Product,
    Cart,
    Paying,
    Profile,
}

/// The version with the bugs.
const BUGGY: &str = "3.2.0";

const CATEGORIES: [(&str, u32); 8] = [
    ("grocery", 24),
    ("electronics", 18),
    ("clothes", 20),
    ("home", 12),
    ("kids", 11),
    ("books", 5),
    ("garden", 4),
    ("auto", 6),
];

/// What people type into the search of version 3.2.0.
pub(super) const SEARCH_TEXTS: [&str; 4] = ["kyzyl alma", "krossovki 42", "samovar", "pylesos nedorogo"];

impl Step {
    /// The name of the event.
    pub(super) fn name(self) -> &'static str {
        match self {
            Step::AppOpen => "app_open",
            Step::PushOpened => "push_opened",
            Step::ScreenView(_) => "screen_view",
            Step::Search { .. } => "search",
            Step::ProductView => "product_view",
            Step::FavouriteAdded => "favourite_added",
            Step::AddToCart => "add_to_cart",
            Step::OrderPlaced => "order_placed",
            Step::Payment => "payment",
            Step::Share => "share",
            Step::SettingsChanged => "settings_changed",
            Step::Error => "error",
            Step::ReviewPosted => "review_posted",
            Step::DebugPing => "debug_ping",
        }
    }

    /// Whether the app forgets to ask before it sends the place.
    pub(super) fn ignores_consent(self) -> bool {
        self == Step::DebugPing
    }
}

impl Walk {
    /// A walk that is about to begin.
    pub(super) fn new(version: &str, chance: &mut Chance) -> Walk {
        Walk { at: Screen::Outside, category: chance.weighted(&CATEGORIES), buggy: version == BUGGY, begun: false }
    }

    /// Goes one step.
    pub(super) fn step(&mut self, chance: &mut Chance) -> Step {
        if self.buggy && self.begun && chance.happens(0.05) {
            return Step::DebugPing;
        }
        if self.begun && chance.happens(0.02) {
            return Step::Error;
        }
        self.begun = true;
        let share = chance.below(100);
        let (step, next) = match self.at {
            Screen::Outside if share < 20 => (Step::PushOpened, Screen::Home),
            Screen::Outside => (Step::AppOpen, Screen::Home),
            Screen::Home => match share {
                0..34 => (Step::ScreenView("home"), Screen::Home),
                34..64 => (self.search(chance), Screen::Results),
                64..82 => (Step::ProductView, Screen::Product),
                82..90 => (Step::ScreenView("cart"), Screen::Cart),
                90..96 => (Step::ScreenView("profile"), Screen::Profile),
                _ => (Step::ScreenView("orders"), Screen::Profile),
            },
            Screen::Results => match share {
                0..58 => (Step::ProductView, Screen::Product),
                58..76 => (Step::ScreenView("search"), Screen::Results),
                76..90 => (self.search(chance), Screen::Results),
                _ => (Step::ScreenView("home"), Screen::Home),
            },
            Screen::Product => match share {
                0..30 => (Step::AddToCart, Screen::Cart),
                30..40 => (Step::ScreenView("product"), Screen::Product),
                40..58 => (Step::ProductView, Screen::Product),
                58..70 => (Step::FavouriteAdded, Screen::Product),
                70..80 => (Step::Share, Screen::Product),
                _ => (Step::ScreenView("search"), Screen::Results),
            },
            Screen::Cart => match share {
                0..62 => (Step::OrderPlaced, Screen::Paying),
                62..80 => (Step::ScreenView("checkout"), Screen::Cart),
                80..90 => (Step::ScreenView("cart"), Screen::Cart),
                _ => (Step::ScreenView("home"), Screen::Home),
            },
            Screen::Paying => match share {
                0..92 => (Step::Payment, Screen::Profile),
                _ => (Step::ScreenView("checkout"), Screen::Paying),
            },
            Screen::Profile => match share {
                0..30 => (Step::ScreenView("settings"), Screen::Profile),
                30..55 => (Step::SettingsChanged, Screen::Profile),
                55..64 => (Step::ReviewPosted, Screen::Profile),
                64..80 => (Step::ScreenView("orders"), Screen::Profile),
                _ => (Step::ScreenView("home"), Screen::Home),
            },
        };
        self.at = next;
        step
    }

    /// Writes the properties of a step, without the braces.
    pub(super) fn write_properties(&self, step: Step, chance: &mut Chance, json: &mut Json) {
        match step {
            Step::AppOpen => {
                let sources = [("icon", 78), ("link", 12), ("widget", 10)];
                text(json, r#""source":""#, chance.weighted(&sources));
                boolean(json, r#","cold":"#, chance.happens(0.4));
            }
            Step::PushOpened => {
                let campaigns = [("sale", 45), ("order_status", 30), ("reminder", 15), ("news", 10)];
                text(json, r#""campaign":""#, chance.weighted(&campaigns));
            }
            Step::ScreenView(screen) => {
                text(json, r#""screen":""#, screen);
                boolean(json, r#","cached":"#, chance.happens(0.55));
                number(json, r#","duration_ms":"#, 40.0 + chance.exponential(620.0));
            }
            Step::Search { with_text } => {
                text(json, r#""category":""#, self.category);
                number(json, r#","results":"#, chance.exponential(60.0));
                boolean(json, r#","filtered":"#, chance.happens(0.25));
                boolean(json, r#","voice":"#, chance.happens(0.07));
                if with_text {
                    text(json, r#","query":""#, chance.pick(&SEARCH_TEXTS));
                }
            }
            Step::ProductView => {
                text(json, r#""category":""#, self.category);
                number(json, r#","price_tenge":"#, 200.0 + chance.exponential(1.0).powi(2) * 9_000.0);
                boolean(json, r#","discounted":"#, chance.happens(0.3));
            }
            Step::FavouriteAdded => text(json, r#""category":""#, self.category),
            Step::AddToCart => {
                text(json, r#""category":""#, self.category);
                number(json, r#","quantity":"#, 1.0 + chance.exponential(0.7));
            }
            Step::OrderPlaced => {
                number(json, r#""items":"#, 1.0 + chance.exponential(2.0));
                number(json, r#","total_tenge":"#, 900.0 + chance.exponential(18_000.0));
                let ways = [("courier", 50), ("pickup", 38), ("post", 12)];
                text(json, r#","delivery":""#, chance.weighted(&ways));
            }
            Step::Payment => {
                let methods = [("card", 55), ("wallet", 22), ("instalments", 17), ("cash", 6)];
                text(json, r#""method":""#, chance.weighted(&methods));
                let outcomes = [("paid", 90), ("declined", 6), ("cancelled", 4)];
                text(json, r#","outcome":""#, chance.weighted(&outcomes));
            }
            Step::Share => {
                let channels = [("messenger", 70), ("link", 18), ("sms", 7), ("other", 5)];
                text(json, r#""channel":""#, chance.weighted(&channels));
            }
            Step::SettingsChanged => {
                let settings = [("notifications", 45), ("language", 22), ("town", 20), ("theme", 13)];
                text(json, r#""setting":""#, chance.weighted(&settings));
            }
            Step::Error => {
                let kinds = [("network", 48), ("timeout", 25), ("server", 14), ("image", 9), ("payment", 4)];
                text(json, r#""kind":""#, chance.weighted(&kinds));
                boolean(json, r#","fatal":"#, chance.happens(0.06));
            }
            Step::ReviewPosted => {
                number(json, r#""stars":"#, f64::from(chance.weighted(&[(5, 58), (4, 20), (3, 9), (2, 4), (1, 9)])));
                boolean(json, r#","with_photo":"#, chance.happens(0.35));
            }
            Step::DebugPing => {}
        }
    }

    fn search(&mut self, chance: &mut Chance) -> Step {
        self.category = chance.weighted(&CATEGORIES);
        Step::Search { with_text: self.buggy }
    }
}

fn text(json: &mut Json, key: &str, value: &str) {
    json.raw(key);
    json.raw(value);
    json.raw("\"");
}

fn boolean(json: &mut Json, key: &str, value: bool) {
    json.raw(key);
    json.boolean(value);
}

fn number(json: &mut Json, key: &str, value: f64) {
    json.raw(key);
    json.number(value as u32);
}
