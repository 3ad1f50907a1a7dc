//! As much of PromQL, and of the text format, as the checks need.

/// A series, with the labels between its braces.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) matchers: Vec<(String, String)>,
}

/// Each of our series in a text.
pub(super) fn series(text: &str) -> Vec<Series> {
    text.match_indices("cloakroom_")
        .map(|(start, _)| {
            let text = &text[start..];
            let is_end = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_';
            let (name, rest) = text.split_at(text.find(is_end).unwrap_or(text.len()));
            let braces = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            Series {
                name: name.to_owned(),
                matchers: braces
                    .map(|(inside, _)| matchers(inside))
                    .unwrap_or_default(),
            }
        })
        .collect()
}

fn matchers(inside: &str) -> Vec<(String, String)> {
    inside
        .split("\",")
        .map(|matcher| {
            let (label, value) = matcher.split_once(['=', '!']).unwrap();
            let value = value.trim_start_matches(['=', '~']).trim_matches('"');
            (label.trim().to_owned(), value.to_owned())
        })
        .collect()
}

/// The labels that a query groups by.
pub(super) fn groupings(query: &str) -> Vec<String> {
    let groups = query.split("by (").skip(1);
    let labels = groups.filter_map(|rest| rest.split(')').next());
    let labels = labels.flat_map(|labels| labels.split(", "));
    labels.map(str::to_owned).collect()
}
