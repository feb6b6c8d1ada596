//! Names that are known from the beginning, and the directories that follow from them.

use std::collections::HashMap;

/// Files by their names.
#[derive(Debug)]
pub(super) struct Tree<T> {
    nodes: HashMap<Box<[u8]>, Node<T>>,
}

/// What has a name.
#[derive(Debug)]
pub(super) enum Node<T> {
    File(T),
    Directory,
}

impl<T> Tree<T> {
    /// Nothing but the root.
    pub(super) fn new() -> Self {
        Self {
            nodes: HashMap::from([(Box::default(), Node::Directory)]),
        }
    }

    /// Adds a directory, and those above it.
    pub(super) fn put_directory(&mut self, name: &[u8]) {
        let ends = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for end in ends.map(|(at, _)| at).chain([name.len()]) {
            self.nodes
                .entry(name[..end].into())
                .or_insert(Node::Directory);
        }
    }

    /// Adds a file and the directories above it; false when there is something by that name, which stays.
    pub(super) fn put_file(&mut self, name: &[u8], file: T) -> bool {
        if self.nodes.contains_key(name) {
            return false;
        }
        if let Some(slash) = name.iter().rposition(|byte| *byte == b'/') {
            self.put_directory(&name[..slash]);
        }
        self.nodes.insert(name.into(), Node::File(file));
        true
    }

    /// What has a name.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Node<T>> {
        self.nodes.get(name)
    }
}

/// The name without empty segments and those of one dot; none when it leads upwards, is empty or has a NUL in it.
pub(super) fn plain(name: &str) -> Option<String> {
    let segments: Vec<&str> = name
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "."))
        .collect();
    let is_bad = segments.is_empty() || segments.contains(&"..") || name.contains('\0');
    (!is_bad).then(|| segments.join("/"))
}
