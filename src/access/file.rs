//! Changes of the access file: a token more, a token less.
//!
//! Guarantees: what else stands in the file stays as it is, comments too; a change is whole or not there; one at a time;
//! what is written can be read.
//! Does not: tell a running collector.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, Item};
use tuman_privacy::detect::detect;

use super::{Access, AccessError, Grant, file_of};

/// Longest name of a token, in characters.
const LONGEST_NAME: usize = 80;

/// Adds a grant.
///
/// # Errors
/// Where its name is taken or cannot be one, or the file cannot be read or written.
pub fn add(file: &Path, grant: &Grant) -> Result<(), AccessError> {
    let is_fit = !grant.name.is_empty()
        && grant.name.chars().count() <= LONGEST_NAME
        && !grant.name.chars().any(char::is_control)
        && detect(&grant.name).is_none();
    if !is_fit {
        return Err(AccessError::Name);
    }
    change(file, |text| {
        let (_, access) = parse(text, file)?;
        if access.all().iter().any(|known| known.name == grant.name) {
            return Err(AccessError::NameTaken);
        }
        let entry = file_of(vec![grant.clone()]);
        let entry: Vec<&str> = entry.lines().filter(|line| !line.starts_with('#')).collect();
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        Ok(format!("{text}{gap}\n{}\n", entry.join("\n")))
    })
}

/// Takes all tokens of a name away; answers how many.
///
/// # Errors
/// Where there is none, or the file cannot be read or written.
pub fn revoke(file: &Path, name: &str) -> Result<usize, AccessError> {
    let mut revoked = 0;
    change(file, |text| {
        let (mut document, _) = parse(text, file)?;
        let tokens = document.get_mut("token").and_then(Item::as_array_of_tables_mut);
        revoked = tokens.map_or(0, |tokens| take_out(tokens, name));
        if revoked == 0 { Err(AccessError::NoSuchName) } else { Ok(document.to_string()) }
    })?;
    Ok(revoked)
}

/// The file with all that is in it, and what it grants. Its tokens must be tables: to an array within a line nothing can
/// be added as text, and its commas and comments are for people.
fn parse(text: &str, file: &Path) -> Result<(DocumentMut, Access), AccessError> {
    // Says the line of what is wrong, where something is.
    let access = Access::parse(text, &shown(file))?;
    let wrong = |error: toml_edit::TomlError| AccessError::Form {
        file: shown(file),
        line: 1,
        what: error.message().to_owned(),
    };
    let document: DocumentMut = text.parse().map_err(wrong)?;
    if document.get("token").is_some_and(|tokens| !tokens.is_array_of_tables()) {
        return Err(AccessError::Inline);
    }
    Ok((document, access))
}

fn take_out(tokens: &mut ArrayOfTables, name: &str) -> usize {
    let before = tokens.len();
    tokens.retain(|token| token.get("name").and_then(Item::as_str) != Some(name));
    before - tokens.len()
}

/// Replaces the file's text, one process at a time.
fn change(file: &Path, edit: impl FnOnce(&str) -> Result<String, AccessError>) -> Result<(), AccessError> {
    let unwritten = |error| AccessError::Write(shown(file), error);
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    // The folder is locked and not the file, which is replaced.
    let lock = File::open(&folder).map_err(unwritten)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).map_err(|error| unwritten(error.into()))?;
    let text = fs::read_to_string(file).map_err(|error| AccessError::Read(shown(file), error))?;
    let edited = edit(&text)?;
    // Never a file that a collector would refuse.
    Access::parse(&edited, &shown(file))?;
    replace(file, &edited, &lock).map_err(unwritten)
}

/// Writes beside the file, syncs, renames, and syncs the name. Owner and mode stay as they were.
fn replace(file: &Path, text: &str, folder: &File) -> io::Result<()> {
    let known = fs::metadata(file)?;
    let fresh = file.with_extension("toml.fresh");
    // What is left of a change that was cut short goes. The folder may be of the service's user, and root may be the one
    // who writes: nothing that lies there under this name is followed or written into.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    out.write_all(text.as_bytes())?;
    // Root may change the file of the service's user, who must still be able to read it.
    fchown(&out, Some(known.uid()), Some(known.gid()))?;
    out.set_permissions(known.permissions())?;
    out.sync_all()?;
    fs::rename(&fresh, file)?;
    folder.sync_all()
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Role, issue};

    #[test]
    fn a_token_comes_and_goes_and_the_rest_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        let (kept_token, kept) = issue("kept", Role::Operator, None).unwrap();
        let begun = format!("# Ours.\n{}# The end.", file_of(vec![kept]));
        fs::write(&file, &begun).unwrap();
        let (token, grant) = issue("Aigerim", Role::Analyst, Some("kz.demo.app")).unwrap();
        add(&file, &grant).unwrap();
        assert!(fs::read_to_string(&file).unwrap().starts_with(&begun));
        let access = Access::read(&file).unwrap();
        assert_eq!(access.grant(&token, 0), Some(&grant));
        assert!(access.grant(&kept_token, 0).is_some());
        assert!(matches!(add(&file, &grant), Err(AccessError::NameTaken)));

        assert_eq!(revoke(&file, "Aigerim").unwrap(), 1);
        let access = Access::read(&file).unwrap();
        assert!(access.grant(&token, 0).is_none() && access.grant(&kept_token, 0).is_some());
        assert!(fs::read_to_string(&file).unwrap().contains("# Ours."));
        assert!(matches!(revoke(&file, "Aigerim"), Err(AccessError::NoSuchName)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_that_lies_in_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("access.toml"), folder.path().join("other"));
        fs::write(&file, "").unwrap();
        fs::write(&other, "of someone else").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join("access.toml.fresh")).unwrap();
        let (_, grant) = issue("x", Role::Analyst, None).unwrap();
        add(&file, &grant).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "of someone else");
        assert!(fs::symlink_metadata(&file).unwrap().is_file() && Access::read(&file).unwrap().all().len() == 1);
    }

    #[test]
    fn tokens_within_a_line_are_read_and_changed_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        let (token, grant) = issue("old", Role::Analyst, None).unwrap();
        let text = format!("token = [{{ name = \"old\", role = \"analyst\", sha256 = \"{}\" }}]\n", grant.sha256);
        fs::write(&file, &text).unwrap();
        assert!(Access::read(&file).unwrap().grant(&token, 0).is_some());
        assert!(matches!(revoke(&file, "old"), Err(AccessError::Inline)));
        let (_, new) = issue("new", Role::Analyst, None).unwrap();
        assert!(matches!(add(&file, &new), Err(AccessError::Inline)));
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }

    #[test]
    fn names_that_are_none_and_files_that_are_wrong_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        fs::write(&file, "").unwrap();
        let (token, grant) = issue("x", Role::Analyst, None).unwrap();
        for name in ["", "two\nlines", "aigerim@example.kz", &token, &"x".repeat(81)] {
            let grant = Grant { name: name.to_owned(), ..grant.clone() };
            assert!(matches!(add(&file, &grant), Err(AccessError::Name)), "{name}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
        fs::write(&file, "[[token]]\nname = \"half\"\n").unwrap();
        assert!(matches!(add(&file, &grant), Err(AccessError::Form { .. })));
        assert!(matches!(revoke(&file, "half"), Err(AccessError::Form { .. })));
    }
}
