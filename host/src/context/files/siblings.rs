//! Files that were compressed beforehand: `NAME.zst`, `NAME.br` and `NAME.gz` beside `NAME`.

use super::mount::FilesRoot;
use super::source::{Opened, OpenedAs};
use super::{Cold, Reach};
use crate::wire::content_coding::weight;

/// A content coding, and how files that have it are named.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Coding {
    pub(crate) name: &'static str,
    ending: &'static str,
}

/// In our order: among those that a client likes the same, the first.
const CODINGS: [Coding; 3] = [
    Coding {
        name: "zstd",
        ending: ".zst",
    },
    Coding {
        name: "br",
        ending: ".br",
    },
    Coding {
        name: "gzip",
        ending: ".gz",
    },
];

/// Which of the forms of a file is sent.
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// In a coding: a sibling, or what the source has.
    Coded(Opened, &'static Coding),
    /// None that the client accepts: 406.
    None,
}

/// Whether there may be siblings of that name: not beside a sibling.
pub(crate) fn may_exist(name: &[u8]) -> bool {
    !CODINGS
        .iter()
        .any(|coding| name.ends_with(coding.ending.as_bytes()))
}

/// Chooses among a file, its siblings, and the coded form that its source may have of it.
///
/// A sibling that is older than the file was made from something else, and is left aside: a slow answer is better than
/// an old one. Seconds are compared, since tools that keep times, tar among them, drop what is finer.
pub(crate) fn choose(
    root: &FilesRoot,
    name: &[u8],
    plain: &Opened,
    accepted: Option<&[u8]>,
    reach: Reach,
) -> Result<Form, Cold> {
    let plain_weight = weight(accepted, "identity");
    for coding in in_order(accepted, plain_weight) {
        let sibling = [name, coding.ending.as_bytes()].concat();
        match root.open(&sibling, reach)? {
            OpenedAs::File(opened) if opened.modified >= plain.modified => {
                return Ok(Form::Coded(opened, coding));
            }
            _ => {}
        }
        if let (Some(coded), "gzip") = (&plain.gzip, coding.name) {
            let opened = Opened {
                content: coded.content.clone(),
                size: coded.size,
                gzip: None,
                ..plain.clone()
            };
            return Ok(Form::Coded(opened, coding));
        }
    }
    Ok(if plain_weight == 0 {
        Form::None
    } else {
        Form::Plain
    })
}

/// The [`wish`] of who has no Accept-Encoding field.
pub(super) const NO_WISH: u8 = 1;

/// All that [`choose`] asks of an Accept-Encoding field, in a byte: fields that have the same get the same form. Two bits
/// for the place of each coding, and one for the plain form.
pub(super) fn wish(accepted: Option<&[u8]>) -> u8 {
    let plain_weight = weight(accepted, "identity");
    let mut wish = u8::from(plain_weight > 0);
    for (place, coding) in in_order(accepted, plain_weight).into_iter().enumerate() {
        let at = CODINGS.iter().position(|other| other == coding);
        // Three places, and three codings.
        wish |= (place as u8 + 1) << (1 + 2 * at.unwrap_or_default());
    }
    wish
}

/// Those that are accepted, and liked no less than the plain form; the best first.
fn in_order(accepted: Option<&[u8]>, plain_weight: u16) -> Vec<&'static Coding> {
    let mut codings: Vec<_> = CODINGS
        .iter()
        .map(|coding| (weight(accepted, coding.name), coding))
        .filter(|(weight, _)| *weight > 0 && *weight >= plain_weight)
        .collect();
    codings.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    codings.into_iter().map(|(_, coding)| coding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_tried_as_the_client_likes_them_and_then_as_we_do() {
        for (field, expected) in [
            ("gzip, deflate, br, zstd", "zstd br gzip"),
            ("gzip, br;q=0.9", "gzip br"),
            ("gzip;q=0.5, identity", ""),
            ("gzip;q=0.5, identity;q=0.5", "gzip"),
            ("br;q=0, *", "zstd gzip"),
            ("identity;q=0, gzip;q=0.001", "gzip"),
            ("identity", ""),
            ("", ""),
        ] {
            let field = Some(field.as_bytes());
            let order = in_order(field, weight(field, "identity"));
            let names: Vec<_> = order.iter().map(|coding| coding.name).collect();
            assert_eq!(names.join(" "), expected, "{field:?}");
        }
        assert!(in_order(None, weight(None, "identity")).is_empty());
    }

    #[test]
    fn fields_that_ask_for_the_same_in_other_words_are_one_wish() {
        let same = [
            "gzip, deflate, br, zstd",
            "zstd;q=1, br, gzip",
            "*;q=0.9, identity;q=0.5",
        ];
        let wishes = same.map(|field| wish(Some(field.as_bytes())));
        assert!(wishes.iter().all(|other| *other == wishes[0]), "{wishes:?}");
        let others = ["", "gzip", "br", "gzip, br;q=0.9", "br, gzip;q=0.9", "zstd"];
        let mut wishes = others.map(|field| wish(Some(field.as_bytes()))).to_vec();
        wishes.push(wish(Some(b"gzip, identity;q=0")));
        let count = wishes.len();
        wishes.sort_unstable();
        wishes.dedup();
        assert_eq!(wishes.len(), count);
        assert_eq!([wish(None), wish(Some(b""))], [NO_WISH; 2]);
    }
}
