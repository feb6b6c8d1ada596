//! The author's guide shows code that is compiled.

#[test]
fn the_extension_in_the_guide_is_the_one_in_the_crate_documentation() {
    assert_first_example_is_compiled("\n## Extensions\n");
}

#[test]
fn the_http_handler_in_the_guide_is_the_one_in_the_crate_documentation() {
    assert_first_example_is_compiled("\n## HTTP\n");
}

fn assert_first_example_is_compiled(heading: &str) {
    let guide = include_str!("../../docs/plugins.md");
    let (_, chapter) = guide.split_once(heading).expect("a chapter");
    let (_, example) = chapter.split_once("```rust\n").expect("an example");
    let (example, _) = example.split_once("```\n").expect("it ends");
    let documentation: String = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .flat_map(|line| [line.strip_prefix(' ').unwrap_or(line), "\n"])
        .collect();
    assert!(documentation.contains(example));
}
