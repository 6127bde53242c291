//! Identifiers: any kind, any text. What has a canonical form has one only.

use tuman_privacy::identifier::{Choice, Kind, canonicalise, choose};

/// Reads the first byte as the kind, the others as the identifier.
pub fn check(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let kind = Kind::ALL[usize::from(*first) % Kind::ALL.len()];
    let chosen = choose([(kind, &*text)]);
    match canonicalise(kind, &text) {
        Ok(canonical) => {
            let form = std::str::from_utf8(canonical.expose()).expect("a canonical form is ASCII");
            assert_eq!(canonical.kind(), kind);
            assert!(is_of_shape(kind, form), "{}", kind.name());
            let again = canonicalise(kind, form).expect("a canonical form is an identifier");
            assert_eq!(again.expose(), canonical.expose());
            let Ok(Choice::Chosen(chosen)) = chosen else { panic!("what is usable is chosen") };
            assert_eq!(chosen.expose(), canonical.expose());
            assert!(!format!("{canonical:?}").contains(form));
        }
        Err(_) => assert!(!matches!(chosen, Ok(Choice::Chosen(_))), "what is not usable is not chosen"),
    }
}

/// The shape that the protocol promises for each kind.
fn is_of_shape(kind: Kind, form: &str) -> bool {
    let lower_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match kind {
        Kind::Imei => form.len() == 14 && form.bytes().all(|byte| byte.is_ascii_digit()),
        Kind::Meid => form.len() == 14 && lower_hex(&form.to_ascii_lowercase()) && form == form.to_ascii_uppercase(),
        Kind::Mac => form.len() == 12 && lower_hex(form),
        Kind::AndroidId => form.len() == 16 && lower_hex(form),
        Kind::InstallId | Kind::Idfv | Kind::Gaid | Kind::Idfa => {
            let groups: Vec<usize> = form.split('-').map(str::len).collect();
            groups == [8, 4, 4, 4, 12] && lower_hex(&form.replace('-', ""))
        }
    }
}
