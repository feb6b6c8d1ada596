//! What a vhost has beside its protocols, opened: directories, error pages, the access log. All of it or nothing.

use std::{sync::Arc, time::Duration};

use crate::{
    access_log::{self, AccessLog},
    config::VhostConfig,
    context::{
        error_pages::{ErrorPageError, ErrorPages},
        mounts::{UnopenedMount, open_files},
        site::Site,
    },
    limits::Limits,
    line_file::LineFileError,
    wire::fields::Fields,
};

/// How long the end of the host waits for the last lines of the access log.
const LAST_LINES: Duration = Duration::from_secs(5);

/// What the config names for HTTP, and cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Files that a mount serves.
    #[error(transparent)]
    Mount(#[from] UnopenedMount),
    /// An error page.
    #[error(transparent)]
    ErrorPage(#[from] ErrorPageError),
    /// The access log.
    #[error(transparent)]
    AccessLog(#[from] LineFileError),
}

/// A site, and what belongs to it and is not for the service threads.
pub(crate) struct OpenSite {
    pub(crate) site: Arc<Site>,
    log: Option<OpenLog>,
}

/// An access log, and what it was opened by.
struct OpenLog {
    log: Arc<AccessLog>,
    settings: access_log::Settings,
    bounds: [u64; 2],
}

impl OpenSite {
    /// Opens what `config` names. The access log of `before` goes on if it is to be the same.
    ///
    /// # Errors
    ///
    /// What cannot be opened; nothing has changed then.
    pub(crate) fn open(
        config: &VhostConfig,
        limits: &Limits,
        before: Option<&Self>,
    ) -> Result<Self, SiteError> {
        let [fields, tls_fields] = [false, true].map(|is_encrypted| {
            let mut fields = Fields::new();
            config.own_fields.complete(&mut fields, is_encrypted);
            fields.into()
        });
        let mounts = config
            .mounts
            .try_map(|mount, files| open_files(mount, files, limits))?;
        let error_pages = ErrorPages::read(&config.error_pages, limits.error_page_bytes)?;
        let log = match &config.access_log {
            Some(settings) => Some(OpenLog::open(settings, limits, before)?),
            None => None,
        };
        let site = Site {
            mounts,
            default_http: config.default_http.as_deref().map(Into::into),
            error_pages,
            fields,
            tls_fields,
            access_log: log.as_ref().map(|open| open.log.logger()),
        };
        Ok(Self {
            site: site.into(),
            log,
        })
    }

    /// Writes what is left of the access log. After the service threads have ended.
    pub(crate) fn finish(self) {
        if let Some(log) = self.log.and_then(|open| Arc::into_inner(open.log))
            && !log.finish(LAST_LINES)
        {
            tracing::warn!(target: "hotsocket", "the last lines of the access log could not be written");
        }
    }
}

impl OpenLog {
    fn open(
        settings: &access_log::Settings,
        limits: &Limits,
        before: Option<&OpenSite>,
    ) -> Result<Self, LineFileError> {
        let bounds = [limits.access_log_lines_count, limits.access_log_text_bytes];
        let same = before
            .and_then(|before| before.log.as_ref())
            .filter(|open| open.settings == *settings && open.bounds == bounds);
        let log = match same {
            Some(open) => {
                open.log.reopen();
                Arc::clone(&open.log)
            }
            None => Arc::new(AccessLog::start(settings, limits)?),
        };
        Ok(Self {
            log,
            settings: settings.clone(),
            bounds,
        })
    }
}
