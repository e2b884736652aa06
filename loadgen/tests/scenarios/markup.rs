//! Whether a page is well formed, and needs nothing from anywhere.

/// Every element is closed in its order, every attribute quoted, no stray `<` or `&`.
pub(crate) fn is_well_formed(page: &str) {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a document type");
    let mut open: Vec<&str> = Vec::new();
    while let Some((text, after)) = rest.split_once('<') {
        text_is_sound(text, open.last() == Some(&"style"));
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes what is not open");
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split_whitespace().next().expect("a name");
        attributes_are_sound(&tag[name.len()..]);
        if !closed {
            open.push(name);
        }
    }
    text_is_sound(rest, false);
    assert!(open.is_empty(), "left open: {open:?}");
}

fn attributes_are_sound(mut text: &str) {
    while let Some((name, after)) = text.trim_start().split_once("=\"") {
        assert!(
            name.chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "-:".contains(letter)),
            "{name}"
        );
        let (value, after) = after.split_once('"').expect("a value ends");
        text_is_sound(value, false);
        text = after;
    }
    assert!(text.trim().is_empty(), "{text}");
}

fn text_is_sound(text: &str, style: bool) {
    for (at, _) in text.match_indices('&') {
        let entity = text[at..].split(';').next().expect("something");
        assert!(
            style || ["&amp", "&lt", "&gt", "&quot", "&#39"].contains(&entity),
            "{entity}"
        );
    }
    assert!(style || !text.contains('>'), "{text}");
}

/// It loads nothing, and says so to the browser.
pub(crate) fn is_self_contained(page: &str) {
    for reference in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "src=",
        "href=",
        "url(",
        "@import",
        "javascript:",
    ] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_page_that_is_broken_is_seen_to_be() {
    let broken = |body: &str| {
        let page = format!("<!DOCTYPE html><p>{body}</p>");
        std::panic::catch_unwind(|| is_well_formed(&page)).is_err()
    };
    assert!(!broken("fine <b class=\"x\">&amp; well</b><br/>"));
    for body in ["<b>", "</b>", "a & b", "<b class=x></b>", "<b></p></b>"] {
        assert!(broken(body), "{body}");
    }
}
