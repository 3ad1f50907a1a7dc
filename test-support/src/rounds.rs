/// How often to try something: so often, or as `CLOAKROOM_ROUNDS` says.
#[must_use]
pub fn rounds(usual: u32) -> u32 {
    std::env::var("CLOAKROOM_ROUNDS").map_or(usual, |rounds| {
        rounds.parse().expect("CLOAKROOM_ROUNDS is a number")
    })
}
