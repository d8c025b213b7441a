//! Cutting a URL that somebody configured whole: base URLs of the connector carry no query.

use url::Url;

/// Origin as it was written, and path with query.
#[must_use]
pub fn origin_and_tail(url: &str) -> Option<(String, String)> {
    let parsed = Url::parse(url).ok()?;
    let (scheme, rest) = url.split_once("://")?;
    // The host as it was written: the connector refuses what is not written plainly.
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let tail = match parsed.query() {
        Some(query) => format!("{}?{query}", parsed.path()),
        None => parsed.path().to_owned(),
    };
    Some((format!("{scheme}://{authority}"), tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_behind_its_authority_as_it_was_written() {
        let cut = |url| origin_and_tail(url).unwrap();
        assert_eq!(cut("https://a.example/x?y=1"), ("https://a.example".into(), "/x?y=1".into()));
        assert_eq!(cut("http://127.0.0.1:9000"), ("http://127.0.0.1:9000".into(), "/".into()));
        // What is not written plainly reaches the connector as it is, and is refused there.
        assert_eq!(cut("http://0x7f.1/x").0, "http://0x7f.1");
        assert!(origin_and_tail("nonsense").is_none());
    }
}
