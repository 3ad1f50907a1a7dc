//! Does one thing so many times, for tools that count instructions: `repeat CASE TIMES`.

use std::{env, process::ExitCode, sync::Arc};

use cloakroom::MemoryStore;
use cloakroom_benches::{load::Operation, requests::Use, sample::Size};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let case = arguments.next().unwrap_or_default();
    let Some(times) = arguments.next().and_then(|text| text.parse().ok()) else {
        eprintln!("usage: repeat CASE TIMES, where CASE is one of:");
        for case in Use::ALL.map(Use::name) {
            eprintln!("  middleware/{case}");
        }
        for case in Operation::ALL.map(Operation::name) {
            eprintln!("  memory/{case}");
        }
        return ExitCode::from(64);
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for known in Use::ALL {
            if case == format!("middleware/{}", known.name()) {
                let mut visitor = known.visitor().await;
                for _ in 0..times {
                    visitor.visit().await;
                }
                return ExitCode::SUCCESS;
            }
        }
        for known in Operation::ALL {
            if case == format!("memory/{}", known.name()) {
                let store = Arc::new(MemoryStore::new());
                known.run(&(store as _), Size::Small, 1, times).await;
                return ExitCode::SUCCESS;
            }
        }
        eprintln!("repeat: there is no case {case:?}");
        ExitCode::from(64)
    })
}
