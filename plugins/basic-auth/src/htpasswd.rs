//! The file of names and passwords.

use std::{collections::HashMap, fs, path::Path};

use bcrypt::HashParts;

/// Comparing takes about four seconds with this cost, and twice as long with each one more.
const MOST_COST: u32 = 16;

/// Of a hash that nobody's password has: what is compared with for a name that is not there.
const NOBODY: &str = "K3tvRJDhN3KBmY2Tvb9uV.uB7nDZnhBCyIrQ8s8s3LPoTXKxLVtOy";

/// The names with their hashes.
#[derive(Debug, Default)]
pub(crate) struct Htpasswd {
    users: HashMap<String, String>,
    /// Takes as long as the slowest of them.
    nobody: String,
}

impl Htpasswd {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, in words for the operator.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| format!("`file` {shown} cannot be read: {error}"))?;
        Self::parse(&text).map_err(|(line, why)| format!("{shown}, line {line}: {why}"))
    }

    /// Gives the number of a line that cannot be used, and why.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut users = HashMap::new();
        let mut most_cost = 4;
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let no_user = || {
                (
                    number,
                    "this is no `name:hash`; lines are written by `htpasswd -B`".into(),
                )
            };
            let (name, rest) = line.split_once(':').ok_or_else(no_user)?;
            // What follows the hash is a comment to nginx.
            let hash = rest.split(':').next().unwrap_or_default();
            let cost = cost(name, hash).map_err(|why| (number, why))?;
            most_cost = cost.max(most_cost);
            if users.insert(name.to_owned(), hash.to_owned()).is_some() {
                return Err((
                    number,
                    format!("`{name}` was there before; take one of both lines out"),
                ));
            }
        }
        Ok(Self {
            users,
            nobody: format!("$2b${most_cost:02}${NOBODY}"),
        })
    }

    /// Whether that is the password of that name. Takes as long for a name that is not there. Not on a service thread.
    pub(crate) fn knows(&self, name: &str, password: &str) -> bool {
        let found = self.users.get(name);
        let hash = found.unwrap_or(&self.nobody);
        let is_right = bcrypt::verify(password, hash).unwrap_or(false);
        is_right && found.is_some()
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }
}

/// What a hash costs, if it is one that may be used.
fn cost(name: &str, hash: &str) -> Result<u32, String> {
    let mend = format!("make it anew with `htpasswd -B FILE {name}`");
    let kind = match hash {
        "" => Some("there is no password"),
        hash if hash.starts_with("{SHA}") => {
            Some("the password is hashed with SHA-1, which is guessed quickly")
        }
        hash if hash.starts_with("$apr1$") || hash.starts_with("$1$") => {
            Some("the password is hashed with MD5, which is guessed quickly")
        }
        hash if hash.starts_with("$5$") || hash.starts_with("$6$") => {
            Some("the password is hashed by crypt with SHA-2, and only bcrypt is read")
        }
        hash if ["$2y$", "$2b$", "$2a$"]
            .iter()
            .any(|prefix| hash.starts_with(prefix)) =>
        {
            None
        }
        _ => Some("the password is plain, or hashed with something else than bcrypt"),
    };
    if let Some(kind) = kind {
        return Err(format!("`{name}`: {kind}; {mend}"));
    }
    let parts: HashParts = hash
        .parse()
        .map_err(|error| format!("`{name}`: the hash is damaged ({error}); {mend}"))?;
    let cost = parts.get_cost();
    // One that can be taken apart can still have a salt or a checksum that is none.
    if let Err(error) = bcrypt::verify("", &cheap(hash)) {
        return Err(format!("`{name}`: the hash is damaged ({error}); {mend}"));
    }
    if cost > MOST_COST {
        return Err(format!(
            "`{name}`: a cost of {cost} takes too long; use {MOST_COST} at most: `htpasswd -B -C 12 FILE {name}`"
        ));
    }
    Ok(cost)
}

/// The same hash with the least cost: of another password, but as whole or as damaged.
fn cheap(hash: &str) -> String {
    format!("{}04{}", &hash[..4], hash.get(6..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "$2y$04$";

    fn hashed(password: &str) -> String {
        let hash = bcrypt::hash_with_salt(password, 4, [7; 16]).expect("a valid cost");
        hash.format_for_version(bcrypt::Version::TwoY)
    }

    #[test]
    fn names_and_passwords_are_those_of_the_file() {
        let text = format!(
            "# ours\n\nada:{}\nb b:{}:a comment\r\n",
            hashed("pass"),
            hashed("ü")
        );
        let read = Htpasswd::parse(&text).expect("a good file");
        assert_eq!(read.len(), 2);
        assert!(read.knows("ada", "pass") && read.knows("b b", "ü"));
        for (name, password) in [("ada", "pasS"), ("ada", ""), ("bob", "pass"), ("", "")] {
            assert!(!read.knows(name, password), "{name}:{password}");
        }
        let empty = Htpasswd::parse("").expect("nobody");
        assert!(!empty.knows("", ""));
    }

    #[test]
    fn somebody_who_is_not_there_takes_as_long_as_the_slowest_who_is() {
        let hash = hashed("x").replace("$04$", "$06$");
        let read = Htpasswd::parse(&format!("a:{}\nb:{hash}\n", hashed("x"))).expect("a good file");
        let parts: HashParts = read.nobody.parse().expect("a hash");
        assert_eq!(parts.get_cost(), 6);
        assert!(bcrypt::verify("anything", &read.nobody).is_ok_and(|is_right| !is_right));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_line_and_the_mend() {
        let damaged = hashed("x").replace("$2y$04$", "$2y$04$!");
        let short = &hashed("x")[..40];
        let costly = hashed("x").replace(ADA, "$2y$17$");
        for (line, part) in [
            ("ada", "no `name:hash`"),
            ("ada:", "no password"),
            ("ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
            ("ada:$apr1$abcdefgh$0123456789012345678901", "MD5"),
            ("ada:$6$abc$def", "SHA-2"),
            ("ada:secret", "plain"),
            (&*format!("ada:{damaged}"), "damaged"),
            (&*format!("ada:{short}"), "damaged"),
            (&*format!("ada:{costly}"), "a cost of 17"),
        ] {
            let text = format!("# first\n{line}\n");
            let (number, why) = Htpasswd::parse(&text).expect_err(line);
            assert_eq!(number, 2, "{line}");
            assert!(
                why.contains(part) && why.contains("htpasswd -B"),
                "{line}: {why}"
            );
        }
        let twice = format!("a:{0}\na:{0}\n", hashed("x"));
        let (number, why) = Htpasswd::parse(&twice).expect_err("twice");
        assert!(number == 2 && why.contains("was there before"), "{why}");
    }
}
