//! The C interface of libchdb, loaded at run time: the one module with `unsafe`.
//!
//! Guarantees: a loaded library stays loaded; a connection is used by one thread at a time and closed once;
//! text and values are passed with their lengths; the process's signal handlers are as they were.
//! Does not: know what a query means, choose a connection, or retry.
//!
//! The interface is that of `chdb.h` of version 26.5.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{Library as Shared, RTLD_LOCAL, RTLD_NOW};

/// Holds a session of the engine; the engine keeps one behind the pointer that `chdb_connect` returns.
type Handle = *mut c_void;
/// What a query returned, rows or an error.
type Answer = *mut c_void;

/// The functions of the library that are used here.
pub(super) struct Library {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut Handle,
    close: unsafe extern "C" fn(*mut Handle),
    query: unsafe extern "C" fn(Handle, *const c_char, usize, *const c_char, usize) -> Answer,
    query_with_values: QueryWithValues,
    error: unsafe extern "C" fn(Answer) -> *const c_char,
    buffer: unsafe extern "C" fn(Answer) -> *mut c_char,
    length: unsafe extern "C" fn(Answer) -> usize,
    destroy: unsafe extern "C" fn(Answer),
}

type QueryWithValues = unsafe extern "C" fn(
    Handle,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> Answer;

/// Why a query gave no rows.
pub(super) enum Failure {
    /// The engine gave no answer at all.
    NoAnswer,
    /// The engine's message. It may quote values: not for logs.
    Message(String),
}

impl Library {
    /// Loads the library, once in the life of the process: a second call gives the same one, whatever its path.
    ///
    /// # Errors
    ///
    /// The loader's message, when the file is not a library for this system or lacks a function.
    pub(super) fn load(path: &Path) -> Result<&'static Library, String> {
        static LOADED: Mutex<Option<&'static Library>> = Mutex::new(None);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = *loaded {
            return Ok(library);
        }
        // SAFETY: the file is the pinned libchdb (the operator's choice otherwise); its initialisers may run on
        // any thread, and it is never unloaded, so its own threads and static state stay valid.
        let shared = unsafe { Shared::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|e| e.to_string())?;
        let library: &'static Library = Box::leak(Box::new(Library::resolve(&shared).map_err(|e| e.to_string())?));
        std::mem::forget(shared);
        *loaded = Some(library);
        Ok(library)
    }

    fn resolve(shared: &Shared) -> Result<Library, libloading::Error> {
        // SAFETY: the types are those that chdb.h declares for these names.
        unsafe {
            let set_handlers: unsafe extern "C" fn(c_int) = *shared.get(c"chdb_set_signal_handlers_enabled")?;
            let library = Library {
                connect: *shared.get(c"chdb_connect")?,
                close: *shared.get(c"chdb_close_conn")?,
                query: *shared.get(c"chdb_query_n")?,
                query_with_values: *shared.get(c"chdb_query_with_params_n")?,
                error: *shared.get(c"chdb_result_error")?,
                buffer: *shared.get(c"chdb_result_buffer")?,
                length: *shared.get(c"chdb_result_length")?,
                destroy: *shared.get(c"chdb_destroy_query_result")?,
            };
            // This call sets the handlers it speaks of to their defaults, whoever installed them.
            let handlers = Handlers::save();
            set_handlers(0);
            handlers.restore();
            Ok(library)
        }
    }
}

/// One session of the engine.
pub(super) struct Connection {
    library: &'static Library,
    session: NonNull<Handle>,
}

// SAFETY: the engine binds no session to the thread that opened it; `&mut self` keeps its use serial.
unsafe impl Send for Connection {}

impl Connection {
    /// Opens a session. The first one of the process starts the engine with these arguments.
    ///
    /// Nothing comes back when the engine does not start, or runs on another folder already.
    pub(super) fn open(library: &'static Library, arguments: &[CString]) -> Option<Connection> {
        static OPENING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pointers: Vec<*mut c_char> = arguments.iter().map(|text| text.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len()).ok()?;
        let handlers = Handlers::save();
        // SAFETY: `count` pointers to strings that outlive the call; the engine copies them and does not write.
        let session = unsafe { (library.connect)(count, pointers.as_mut_ptr()) };
        handlers.restore();
        NonNull::new(session).map(|session| Connection { library, session })
    }

    /// Runs one query and gives the bytes of its answer in the format asked for.
    pub(super) fn query(&mut self, text: &str, format: &str, values: &[(&str, String)]) -> Result<Vec<u8>, Failure> {
        // SAFETY: `session` came from `chdb_connect` and is closed in `drop` alone, so it points to a live handle.
        let handle = unsafe { *self.session.as_ptr() };
        let answer = if values.is_empty() {
            // SAFETY: the lengths are those of the strings, which outlive the call.
            unsafe {
                (self.library.query)(handle, text.as_ptr().cast(), text.len(), format.as_ptr().cast(), format.len())
            }
        } else {
            let names: Vec<*const c_char> = values.iter().map(|(name, _)| name.as_ptr().cast()).collect();
            let name_lengths: Vec<usize> = values.iter().map(|(name, _)| name.len()).collect();
            let texts: Vec<*const c_char> = values.iter().map(|(_, value)| value.as_ptr().cast()).collect();
            let text_lengths: Vec<usize> = values.iter().map(|(_, value)| value.len()).collect();
            // SAFETY: as above, and the four arrays hold `values.len()` elements each.
            unsafe {
                (self.library.query_with_values)(
                    handle,
                    text.as_ptr().cast(),
                    text.len(),
                    format.as_ptr().cast(),
                    format.len(),
                    names.as_ptr(),
                    name_lengths.as_ptr(),
                    texts.as_ptr(),
                    text_lengths.as_ptr(),
                    values.len(),
                )
            }
        };
        self.take(answer)
    }

    /// Copies an answer out of the engine and frees it.
    fn take(&self, answer: Answer) -> Result<Vec<u8>, Failure> {
        if answer.is_null() {
            return Err(Failure::NoAnswer);
        }
        // SAFETY: the answer is live until `destroy`; an error is a string with an end; the buffer has `length` bytes.
        unsafe {
            let error = (self.library.error)(answer);
            let taken = if error.is_null() {
                let buffer = (self.library.buffer)(answer);
                let length = (self.library.length)(answer);
                if buffer.is_null() || length == 0 {
                    Ok(Vec::new())
                } else {
                    Ok(std::slice::from_raw_parts(buffer.cast_const().cast::<u8>(), length).to_vec())
                }
            } else {
                Err(Failure::Message(CStr::from_ptr(error).to_string_lossy().into_owned()))
            };
            (self.library.destroy)(answer);
            taken
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: opened by `chdb_connect`, closed here and only here.
        unsafe { (self.library.close)(self.session.as_ptr()) }
    }
}

/// Whether a session is open in this process: what `end_at_once` asks.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// Says whether the engine runs, for the end of the process.
pub(super) fn set_running(is_running: bool) {
    IS_RUNNING.store(is_running, Ordering::SeqCst);
}

/// Ends the process at once, with its exit status, if it exits while the engine runs.
///
/// Exiting takes down static state of the library that the engine's threads, and even closing a session, still
/// use: the process would crash. Ending without a close is what a kill does, and loses nothing that was synced.
/// What is registered last runs first, and the library goes on registering destructors as its parts are used for
/// the first time: so call this again now and then. Where the C library has no `on_exit`, this does nothing,
/// and a process has to close the engine before it exits.
pub(super) fn end_at_once_on_exit() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
        }
        extern "C" fn end(status: c_int, _argument: *mut c_void) {
            if IS_RUNNING.load(Ordering::SeqCst) {
                // SAFETY: both take plain values; the second does not return.
                unsafe {
                    libc::fflush(ptr::null_mut());
                    libc::_exit(status)
                }
            }
        }
        // SAFETY: the declaration is that of stdlib.h, and `end` does not unwind.
        unsafe { on_exit(end, ptr::null_mut()) };
    }
}

/// The signals that libchdb sets to their defaults in `chdb_set_signal_handlers_enabled(0)` and, after that, in
/// every `chdb_connect`. It leaves all others alone.
const TOUCHED: [c_int; 8] = [
    libc::SIGABRT,
    libc::SIGSEGV,
    libc::SIGILL,
    libc::SIGBUS,
    libc::SIGSYS,
    libc::SIGFPE,
    libc::SIGTSTP,
    libc::SIGTRAP,
];

/// The process's own handlers of the signals that the engine touches.
struct Handlers(Vec<(c_int, libc::sigaction)>);

impl Handlers {
    fn save() -> Handlers {
        let mut saved = Vec::with_capacity(TOUCHED.len());
        for signal in TOUCHED {
            // SAFETY: a zeroed sigaction is a valid one; the call writes the current action into it.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, ptr::null(), &raw mut action) == 0 {
                    saved.push((signal, action));
                }
            }
        }
        Handlers(saved)
    }

    fn restore(self) {
        for (signal, action) in self.0 {
            // SAFETY: the action is the one that was in force before.
            unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        }
    }
}
