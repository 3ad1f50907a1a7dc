//! What Redis runs in one step, called by hash.

use std::sync::LazyLock;

use redis::Cmd;

/// A script, with what most of them share before it.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    hash: LazyLock<String>,
}

macro_rules! scripts {
    ($($name:ident = $($file:literal)*;)*) => {$(
        pub(crate) static $name: Script = {
            const TEXT: &str = concat!($(include_str!($file)),*);
            Script {
                text: TEXT,
                hash: LazyLock::new(|| redis::Script::new(TEXT).get_hash().into()),
            }
        };
    )*};
}

scripts! {
    SAVE = "scripts/save.lua" "scripts/each.lua";
    TOUCH = "scripts/touch.lua" "scripts/each.lua";
    ROTATE = "scripts/held.lua" "scripts/enter.lua" "scripts/rotate.lua";
    PROBE = "scripts/held.lua" "scripts/probe.lua";
    LEAVE = "scripts/held.lua" "scripts/leave.lua";
    SETTLE = "scripts/held.lua" "scripts/settle.lua";
    TAKE = "scripts/held.lua" "scripts/take.lua";
    EXPIRE = "scripts/held.lua" "scripts/expire.lua";
    INDEX = "scripts/held.lua" "scripts/enter.lua" "scripts/index.lua";
    CREATE = "scripts/held.lua" "scripts/enter.lua" "scripts/create.lua";
}

impl Script {
    /// A call of the script that the server may already know.
    pub(crate) fn by_hash(&self, keys: &[impl AsRef<str>], arguments: &[&[u8]]) -> Cmd {
        called("EVALSHA", &self.hash, keys, arguments)
    }

    /// A call that brings the script, which the server then knows.
    pub(crate) fn by_text(&self, keys: &[impl AsRef<str>], arguments: &[&[u8]]) -> Cmd {
        called("EVAL", self.text, keys, arguments)
    }
}

fn called(name: &str, script: &str, keys: &[impl AsRef<str>], arguments: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(key.as_ref());
    }
    command.arg(arguments);
    command
}
