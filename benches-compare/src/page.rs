//! Puts what was measured into a page.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use time::OffsetDateTime;

/// Prints a part, and replaces it where the page has it between `<!-- name -->` and
/// `<!-- /name -->`.
pub fn put(page: Option<&Path>, name: &str, part: &str) -> Result<()> {
    println!("### {name}\n\n{part}");
    let Some(page) = page else { return Ok(()) };
    let text = fs::read_to_string(page)?;
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let missing = || format!("{} has no {begin} … {end}", page.display());
    let (before, rest) = text.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    let text = format!("{before}{begin}\n\n{}\n\n{end}{after}", part.trim());
    Ok(fs::write(page, text)?)
}

/// When, on what and with which versions this was measured.
pub fn conditions(servers: &[String]) -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let models = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name"));
    let model = models.clone().next().unwrap_or(": unknown");
    let rustc = Command::new("rustc").arg("--version").output()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut text = format!(
        "- {}; {} × {}; Linux {}; {}\n",
        OffsetDateTime::now_utc().date(),
        models.count(),
        model.trim_start_matches([':', ' ', '\t']),
        kernel.trim(),
        String::from_utf8(rustc.stdout)?.trim()
    );
    for server in servers {
        text += &format!("- {server}\n");
    }
    text += "- the crates: ";
    text += &versions().join(", ");
    Ok(text + "\n")
}

/// The peers and drivers, as `Cargo.lock` has them.
fn versions() -> Vec<String> {
    const CRATES: [&str; 10] = [
        "actix-session",
        "axum_session",
        "axum_session_redispool",
        "moka",
        "redis",
        "sled",
        "sqlx",
        "tower-sessions",
        "tower-sessions-redis-store",
        "tower-sessions-sqlx-store",
    ];
    let lock = include_str!("../Cargo.lock");
    let packages = lock.split("[[package]]").filter_map(|package| {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim_matches([' ', '=', '"']))
        };
        let name = value("name")?;
        let version = value("version")?;
        CRATES.contains(&name).then(|| format!("{name} {version}"))
    });
    packages.collect()
}
