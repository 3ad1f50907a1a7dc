use std::{env, fs, panic::AssertUnwindSafe, path::Path};

/// How many changed inputs are tried.
const TRIES: u32 = 2_000;

macro_rules! targets {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            try_all(stringify!($target), super::$target);
        }
    )*};
}

targets!(record, cookies, names, urls, changes);

fn try_all(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let files = fs::read_dir(folder).expect("there is a corpus");
    let mut corpus: Vec<_> = files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    corpus.sort();
    let seed = env::var("CLOAKROOM_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut chance = fastrand::Rng::with_seed(seed);
    for input in &corpus {
        try_one(target, input);
    }
    for _ in 0..TRIES {
        let mut input = chance.choice(&corpus).expect("it is not empty").clone();
        for _ in 0..chance.u32(1..8) {
            change(&mut input, &mut chance);
        }
        try_one(target, &input);
    }
    println!("corpus={} changed={TRIES} seed={seed}", corpus.len());
}

fn try_one(target: fn(&[u8]), input: &[u8]) {
    let tried = std::panic::catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(tried.is_ok(), "input: {}", input.escape_ascii());
}

fn change(input: &mut Vec<u8>, chance: &mut fastrand::Rng) {
    let at = chance.usize(..=input.len());
    match chance.u8(..4) {
        0 => input.insert(at, chance.u8(..)),
        1 => input.truncate(at),
        2 => input.extend_from_within(at..),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.u8(..8);
            }
        }
    }
    input.truncate(4_096);
}
