//! Which program answers a request: the one of the options, or a script of a directory.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Component, Path, PathBuf},
};

use hotsocket_plugin::PluginError;
use rustix::fs::Access;

use crate::environment::decoded;

/// Where programs are, as the options say it. Its paths are absolute and have no symbolic link in them.
#[derive(Debug)]
pub(crate) enum Place {
    /// The options name none, so that the plugin can be there and wait for some.
    Nowhere,
    /// One program for all requests.
    Program(PathBuf),
    /// The scripts of a directory, by the first segment of the path below the mountpoint.
    Directory(PathBuf),
}

/// A program and the parts of a path that it is told, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) program: PathBuf,
    pub(crate) script_name: OsString,
    pub(crate) path_info: OsString,
}

/// Why no program answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoScript {
    /// 400
    BadPath,
    /// 404
    NotFound,
    /// 403
    NotExecutable(PathBuf),
    /// 500
    NoOptions,
}

impl Place {
    /// # Errors
    ///
    /// What is wrong with these options.
    pub(crate) fn new(
        program: Option<&Path>,
        directory: Option<&Path>,
    ) -> Result<Self, PluginError> {
        let resolved = |option: &str, path: &Path| {
            path.canonicalize().map_err(|error| {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                let path = path.display();
                PluginError::new(format!(
                    "option `{option}`: {path}: {error}; make it, or name another"
                ))
            })
        };
        match (program, directory) {
            (Some(program), None) => {
                let program = resolved("program", program)?;
                match executable(&program) {
                    Ok(true) => Ok(Self::Program(program)),
                    _ => Err(PluginError::new(format!(
                        "option `program`: {} is no executable file; chmod +x it, or name another",
                        program.display()
                    ))),
                }
            }
            (None, Some(directory)) => {
                let directory = resolved("directory", directory)?;
                if !directory.is_dir() {
                    return Err(PluginError::new(format!(
                        "option `directory`: {} is no directory; for one program use `program`",
                        directory.display()
                    )));
                }
                Ok(Self::Directory(directory))
            }
            (None, None) => Ok(Self::Nowhere),
            (Some(_), Some(_)) => Err(PluginError::new(
                "options: `program` and `directory` are both given; leave one of them out",
            )),
        }
    }

    /// The program for a path, which is given in two parts: the mountpoint and what follows it. Looks at the file
    /// system, so not on a service thread.
    pub(crate) fn find(&self, mountpoint: &str, below: &str) -> Result<Script, NoScript> {
        let mountpoint = mountpoint.trim_end_matches('/');
        match self {
            Self::Nowhere => Err(NoScript::NoOptions),
            Self::Program(program) => Ok(Script {
                program: program.clone(),
                script_name: decoded(mountpoint).ok_or(NoScript::BadPath)?,
                path_info: decoded(&rooted(below)).ok_or(NoScript::BadPath)?,
            }),
            Self::Directory(directory) => {
                let below = below.trim_start_matches('/');
                let (name, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
                let name = decoded(name).ok_or(NoScript::BadPath)?;
                let path_info = decoded(rest).ok_or(NoScript::BadPath)?;
                let mut script_name = decoded(mountpoint).ok_or(NoScript::BadPath)?;
                script_name.push("/");
                script_name.push(&name);
                Ok(Script {
                    program: script(directory, &name)?,
                    script_name,
                    path_info,
                })
            }
        }
    }
}

/// An empty path info stays empty, another begins with a slash.
fn rooted(below: &str) -> String {
    match below.trim_start_matches('/') {
        "" => below.to_owned(),
        rest => format!("/{rest}"),
    }
}

/// The script of that name. A hidden one is none, nor is one that a symbolic link leads to outside the directory.
fn script(directory: &Path, name: &OsStr) -> Result<PathBuf, NoScript> {
    let mut components = Path::new(name).components();
    let is_name = matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(only)), None) if only == name
    );
    if !is_name || name.as_encoded_bytes().starts_with(b".") {
        return Err(NoScript::NotFound);
    }
    let path = directory.join(name);
    let path = path.canonicalize().map_err(|_| NoScript::NotFound)?;
    if !path.starts_with(directory) {
        return Err(NoScript::NotFound);
    }
    match executable(&path) {
        Ok(true) => Ok(path),
        Ok(false) => Err(NoScript::NotExecutable(path)),
        Err(_) => Err(NoScript::NotFound),
    }
}

/// Whether a regular file may be executed; an error when it is none.
fn executable(path: &Path) -> io::Result<bool> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(rustix::fs::access(path, Access::EXEC_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(path: &Path, mode: u32) {
        fs::write(path, "#!/bin/sh\n").expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn a_script_is_the_first_segment_and_the_rest_is_told_to_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().canonicalize().expect("it is there");
        write(&root.join("a script"), 0o755);
        let place = Place::new(None, Some(&root)).expect("right");
        for (below, path_info) in [
            ("/a%20script", ""),
            ("a%20script/", "/"),
            ("/a%20script/b/%c3%a9/..", "/b/\u{e9}/.."),
        ] {
            assert_eq!(
                place.find("/cgi-bin", below),
                Ok(Script {
                    program: root.join("a script"),
                    script_name: "/cgi-bin/a script".into(),
                    path_info: path_info.into(),
                }),
                "{below}"
            );
        }
    }

    #[test]
    fn nothing_outside_the_directory_is_run() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("scripts");
        fs::create_dir_all(root.join("sub")).expect("made");
        write(&directory.path().join("outside"), 0o755);
        write(&root.join(".hidden"), 0o755);
        write(&root.join("plain"), 0o644);
        write(&root.join("sub/inner"), 0o755);
        symlink("../outside", root.join("link")).expect("made");
        symlink("/bin/sh", root.join("shell")).expect("made");
        let place = Place::new(None, Some(&root)).expect("right");
        for below in [
            "",
            "/",
            "//",
            "/..",
            "/.",
            "/../outside",
            "/%2e%2e/outside",
            "/..%2foutside",
            "/%2fbin%2fsh",
            "/.hidden",
            "/link",
            "/shell",
            "/sub",
            "/sub/inner",
            "/sub%2finner",
            "/missing",
            "/plain%2f",
        ] {
            assert_eq!(place.find("/", below), Err(NoScript::NotFound), "{below}");
        }
        assert_eq!(place.find("/", "/plain%00"), Err(NoScript::BadPath));
        // Root may execute nothing either that has no such bit.
        let plain = root.canonicalize().expect("it is there").join("plain");
        assert_eq!(
            place.find("/", "/plain"),
            Err(NoScript::NotExecutable(plain))
        );
    }

    #[test]
    fn a_program_gets_all_of_the_path_below_its_mountpoint() {
        let place = Place::new(Some(Path::new("/bin/sh")), None).expect("right");
        for (below, path_info) in [("", ""), ("/", "/"), ("a/b", "/a/b"), ("/a%3f", "/a?")] {
            let script = place.find("/run/", below).expect("found");
            assert_eq!(script.script_name, "/run");
            assert_eq!(script.path_info, path_info, "{below:?}");
        }
    }

    #[test]
    fn without_options_nothing_is_found() {
        let place = Place::new(None, None).expect("it waits for options");
        assert_eq!(place.find("/", "/a"), Err(NoScript::NoOptions));
    }

    #[test]
    fn wrong_options_are_refused_in_words() {
        let here = Path::new("/bin/sh");
        let why = |program, directory| {
            Place::new(program, directory)
                .expect_err("wrong")
                .to_string()
        };
        assert!(why(Some(here), Some(Path::new("/"))).contains("are both given"));
        assert!(
            why(Some(Path::new("/nothing-here")), None)
                .starts_with("option `program`: /nothing-here: ")
        );
        assert!(why(Some(Path::new("/")), None).contains("is no executable file"));
        assert!(why(None, Some(here)).contains("is no directory"));
    }
}
