//! The functions of a guest that its node calls.

use core::fmt::Display;

/// Exports functions of this crate to the node, under their names.
///
/// A function takes nothing and returns nothing or a `Result<(), E>`; an error ends the call as [`abort`](crate::abort)
/// does, with its text. `run` is called once by `numax-node run`; `init`, `on_change`, `on_remote_op`, `on_tick`,
/// `on_message`, `on_request`, `on_peer_connected`, `on_peer_disconnected` and `shutdown` when that happens.
///
/// ```ignore
/// numax::export!(run);
/// ```
#[macro_export]
macro_rules! export {
    ($($name:ident),+ $(,)?) => {
        $(const _: () = {
            #[export_name = stringify!($name)]
            extern "C" fn exported() {
                $crate::call($name)
            }
        };)+
    };
}

/// What an exported function may return.
pub trait Outcome {
    /// Returns, or aborts with the error.
    fn settle(self);
}

impl Outcome for () {
    fn settle(self) {}
}

impl<E: Display> Outcome for Result<(), E> {
    fn settle(self) {
        if let Err(e) = self {
            crate::abort(&alloc::format!("{e}"))
        }
    }
}

/// What an export does.
#[doc(hidden)]
pub fn call<O: Outcome>(f: fn() -> O) {
    #[cfg(feature = "std")]
    std::panic::set_hook(std::boxed::Box::new(|info| crate::abort(&alloc::format!("{info}"))));
    f().settle()
}
