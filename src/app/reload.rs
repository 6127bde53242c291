//! Catalogues and tokens, read anew while the collector runs.
//!
//! Guarantees: what the access file no longer grants is refused as soon as the file is read, whatever is wrong with a
//! catalogue and whether or not the audit log answers; what it grants besides, and what catalogues declare, counts when
//! the audit log has it. Of two that read at the same time, the one that read last is in force last.
//! Does not: know what was changed while no collector ran.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::App;
use crate::access::{Access, AccessError};
use crate::audit::{Event, ReloadRefused, Reloaded, TokenChanged};
use crate::catalogue::{CatalogueErrors, Catalogues};

/// What kept catalogues and tokens from being read anew: numbers and fixed words, for the log. The texts name values of
/// the files, and are for whoever asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// The catalogues.
    Catalogues {
        /// How much is wrong with them.
        problems: u64,
        /// The line of the first problem.
        first_line: u64,
    },
    /// The file of tokens.
    Access {
        /// The line of the problem; zero where the file cannot be read.
        line: u64,
    },
    /// The entry in the audit log was not taken.
    AuditLog,
    /// The work ended with a panic.
    Interrupted,
}

impl From<CatalogueErrors> for Unusable {
    fn from(CatalogueErrors(errors): CatalogueErrors) -> Unusable {
        let first_line = errors.first().map_or(0, |first| first.line as u64);
        Unusable::Catalogues { problems: errors.len() as u64, first_line }
    }
}

impl From<AccessError> for Unusable {
    fn from(error: AccessError) -> Unusable {
        match error {
            AccessError::Form { line, .. } => Unusable::Access { line: line as u64 },
            _ => Unusable::Access { line: 0 },
        }
    }
}

impl Unusable {
    /// What it is about.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Unusable::Catalogues { .. } => "catalogues",
            Unusable::Access { .. } => "access",
            Unusable::AuditLog => "audit_log",
            Unusable::Interrupted => "interrupted",
        }
    }

    /// How much is wrong.
    #[must_use]
    pub fn problems(self) -> u64 {
        match self {
            Unusable::Catalogues { problems, .. } => problems,
            Unusable::Access { .. } | Unusable::AuditLog | Unusable::Interrupted => 1,
        }
    }

    /// The line of the first problem in its file; zero where it has none.
    #[must_use]
    pub fn first_line(self) -> u64 {
        match self {
            Unusable::Catalogues { first_line, .. } => first_line,
            Unusable::Access { line } => line,
            Unusable::AuditLog | Unusable::Interrupted => 0,
        }
    }
}

/// How far the reading is.
pub(super) struct Reloading {
    /// The tokens that the audit log knows. Held from the catalogues that are read to those in force: it may take as
    /// long as the store does.
    entered: Mutex<Access>,
    /// The access file as it was read last. Held while it is read, and never while anything is entered: what is taken
    /// away waits for no store.
    read: Mutex<Arc<Access>>,
}

impl Reloading {
    /// Begins with the tokens of the start.
    pub(super) fn after(access: Access) -> Reloading {
        Reloading { entered: Mutex::new(access.clone()), read: Mutex::new(Arc::new(access)) }
    }
}

/// A thread that panicked leaves no half of a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    /// Reads catalogues and tokens anew, and puts them in force when the audit log names them. Where they are wrong,
    /// the old ones stay, but for tokens that the file no longer has, and the audit log says so.
    ///
    /// # Errors
    /// What cannot be used, or that the audit log does not take the entry.
    pub fn reload(&self) -> Result<(), Unusable> {
        self.read_access()?;
        let mut entered = lock(&self.reloading.entered);
        let access = self.enter_revoked(&mut entered)?;
        let catalogues = Catalogues::read(&self.config.paths.catalogue).map_err(|errors| self.refuse(errors))?;
        self.enter_added(&mut entered, &access)?;
        self.admit(&access);
        self.enter(&Event::Reloaded(Reloaded::with(&catalogues)))?;
        self.ingest.reload(catalogues);
        Ok(())
    }

    /// Reads the tokens alone anew: no catalogue is looked at.
    ///
    /// # Errors
    /// As [`App::reload`].
    pub fn reload_access(&self) -> Result<(), Unusable> {
        self.read_access()?;
        let mut entered = lock(&self.reloading.entered);
        let access = self.enter_revoked(&mut entered)?;
        self.enter_added(&mut entered, &access)?;
        self.admit(&access);
        Ok(())
    }

    /// Reads the access file, and refuses from here on what it no longer grants.
    fn read_access(&self) -> Result<(), Unusable> {
        let mut read = lock(&self.reloading.read);
        match Access::read(&self.config.paths.access) {
            Ok(access) => {
                self.access.store(Arc::new(self.access().within(&access)));
                *read = Arc::new(access);
                Ok(())
            }
            Err(error) => {
                drop(read);
                Err(self.refuse(error))
            }
        }
    }

    /// Enters what is taken away, and answers what was read last.
    fn enter_revoked(&self, entered: &mut Access) -> Result<Arc<Access>, Unusable> {
        let access = lock(&self.reloading.read).clone();
        for (hash, grant) in entered.beyond(&access) {
            self.enter(&Event::TokenRevoked(TokenChanged::of(&grant)))?;
            entered.remove(&hash);
        }
        Ok(access)
    }

    fn enter_added(&self, entered: &mut Access, access: &Access) -> Result<(), Unusable> {
        for (hash, grant) in access.beyond(entered) {
            self.enter(&Event::TokenAdded(TokenChanged::of(&grant)))?;
            entered.insert(hash, grant);
        }
        Ok(())
    }

    /// Puts tokens in force, as far as the file that was read last gives them: it may have been read again meanwhile.
    fn admit(&self, access: &Access) {
        let read = lock(&self.reloading.read);
        self.access.store(Arc::new(access.within(&read)));
    }

    fn enter(&self, event: &Event) -> Result<(), Unusable> {
        self.sealer.audit.record(self.clock.now_ms(), event).map_err(|_| Unusable::AuditLog)
    }

    /// Enters that something is wrong. What was in force stays also where the store is away and this goes unrecorded:
    /// nothing has changed.
    fn refuse(&self, error: impl Into<Unusable>) -> Unusable {
        let unusable = error.into();
        let _ = self.enter(&Event::ReloadRefused(ReloadRefused::from(unusable)));
        unusable
    }
}
