//! Which level holds for what.

use tracing::level_filters::LevelFilter;

use super::PLUGIN_TARGET;
use crate::config::LogConfig;

/// Of a target: the longest listed path prefix decides.
pub(super) fn of_target(config: &LogConfig, target: &str) -> LevelFilter {
    let prefixes = config.targets.iter().filter(|(prefix, _)| {
        target
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    });
    prefixes
        .max_by_key(|(prefix, _)| prefix.len())
        .map_or(config.level, |(_, level)| *level)
}

/// Of the lines of one plugin.
pub(super) fn of_plugin(config: &LogConfig, plugin: &str) -> LevelFilter {
    config
        .plugins
        .get(plugin)
        .copied()
        .unwrap_or_else(|| of_target(config, PLUGIN_TARGET))
}

/// Up to which level an event of `target` may be written; for plugins as far as any of them goes, because the plugin
/// is known only with the event.
pub(super) fn ceiling(config: &LogConfig, target: &str) -> LevelFilter {
    let level = of_target(config, target);
    if target == PLUGIN_TARGET {
        config.plugins.values().copied().fold(level, Ord::max)
    } else {
        level
    }
}

/// Above it nothing at all is written.
pub(super) fn highest(config: &LogConfig) -> LevelFilter {
    config
        .targets
        .values()
        .chain(config.plugins.values())
        .copied()
        .fold(config.level, Ord::max)
}
