//! Where the engine's library is.
//!
//! Guarantees: the first place that has it wins: the configuration, the environment, then what
//! `make engine` installed. Does not: search the system's library folders, where another version may lie.

use std::path::{Path, PathBuf};

use super::StoreError;

/// The environment variable that names the library.
pub const VARIABLE: &str = "TUMAN_ENGINE";

/// Finds the library.
///
/// A path that was given, in the configuration or the environment, is taken as it is: if nothing is there,
/// that is an error and not a reason to look elsewhere.
///
/// # Errors
///
/// [`StoreError::EngineMissing`], with every place that was looked at.
pub fn library(configured: Option<&Path>) -> Result<PathBuf, StoreError> {
    let given = match configured {
        Some(path) => Some(path.to_owned()),
        None => std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from),
    };
    let places = match given {
        Some(path) if path.is_dir() => FILES.iter().map(|file| path.join(file)).collect(),
        Some(path) => vec![path],
        None => installed_places(),
    };
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Ok(place.clone()),
        None => Err(StoreError::EngineMissing { looked: places }),
    }
}

/// The package for macOS names the file one way or the other, depending on its version.
#[cfg(target_os = "macos")]
const FILES: [&str; 2] = ["libchdb.dylib", "libchdb.so"];
#[cfg(not(target_os = "macos"))]
const FILES: [&str; 1] = ["libchdb.so"];

#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
const PACKAGE: &str = "lib-darwin-arm64";
#[cfg(all(target_os = "macos", not(target_arch = "aarch64")))]
const PACKAGE: &str = "lib-darwin-x64";
#[cfg(all(not(target_os = "macos"), target_arch = "aarch64"))]
const PACKAGE: &str = "lib-linux-arm64-gnu";
#[cfg(all(not(target_os = "macos"), not(target_arch = "aarch64")))]
const PACKAGE: &str = "lib-linux-x64-gnu";

/// Below the working directory, the executable and its parents, and the source tree of a development build.
fn installed_places() -> Vec<PathBuf> {
    let mut roots = Vec::new();
    roots.extend(std::env::current_dir());
    if let Ok(executable) = std::env::current_exe() {
        roots.extend(executable.ancestors().skip(1).map(Path::to_owned));
    }
    roots.push(PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    let mut places: Vec<PathBuf> = Vec::new();
    for root in roots {
        for file in FILES {
            let place = root.join("engine/node_modules/@chdb").join(PACKAGE).join(file);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_path_is_not_replaced_by_another_place() {
        let nowhere = Path::new("/nowhere/libchdb.so");
        let Err(StoreError::EngineMissing { looked }) = library(Some(nowhere)) else {
            panic!("a missing file was accepted");
        };
        assert_eq!(looked, [nowhere]);
    }

    #[test]
    fn the_error_says_how_to_get_the_engine() {
        let error = StoreError::EngineMissing { looked: vec![PathBuf::from("/a/libchdb.so")] }.to_string();
        assert!(error.contains("make engine") && error.contains("/a/libchdb.so"), "{error}");
    }
}
