//! A message from outside, for all sessions of a protocol on a vhost.

use crate::{
    config::{DEFAULT_VHOST, meant},
    connection::outbound::encode_message,
    context::{
        hub::{Hub, Operation},
        roster::SetId,
    },
    control::{BadPublication, Publication},
    server::deployment::Deployment,
};

/// Why nobody was sent anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("no vhost `{name}`")]
    NoVhost { name: String, mend: String },
    #[error("no protocol `{name}` with sessions on vhost `{vhost}`")]
    NoProtocol {
        name: String,
        vhost: String,
        mend: String,
    },
    #[error("the message has {bytes} bytes, and at most {most} may be published")]
    TooLong { bytes: u64, most: u64 },
    #[error(transparent)]
    Bad(#[from] BadPublication),
    #[error("too much waits for the service threads, so nobody was sent this message")]
    Full,
}

impl PublishError {
    /// What to do about it.
    pub(crate) fn mend(&self) -> String {
        match self {
            Self::NoVhost { mend, .. } | Self::NoProtocol { mend, .. } => mend.clone(),
            Self::TooLong { .. } => {
                "raise limits.publish_message_bytes, or send less at once".into()
            }
            Self::Bad(_) => "write one of the two keys, or use `hotsocket publish`".into(),
            Self::Full => {
                "try again; the bounds are limits.commands_count and limits.commands_bytes".into()
            }
        }
    }
}

/// Sends the message to all who are in session now, on all service threads and of all generations: how many they were.
///
/// # Errors
///
/// Why nobody was sent it.
pub(crate) fn publish(
    hub: &Hub,
    deployment: &Deployment,
    publication: &Publication,
) -> Result<u64, PublishError> {
    let (kind, payload) = publication.message()?;
    let most = deployment.config().limits.publish_message_bytes;
    let bytes = payload.len() as u64;
    if bytes > most {
        return Err(PublishError::TooLong { bytes, most });
    }
    let (set, sessions) = find(hub, deployment, publication)?;
    let posted = if publication.notify {
        hub.post_all(set, Operation::Notify((*payload).into()))
    } else {
        let mut frame = Vec::with_capacity(payload.len() + MOST_HEADER_BYTES);
        encode_message(&mut frame, kind, &payload);
        hub.broadcast(set, &frame.into(), publication.slow)
    };
    // All threads can be reached, so that nothing else than a bound refuses.
    posted.map_err(|_| PublishError::Full)?;
    Ok(sessions)
}

/// What stands in front of a payload that is not masked takes at most so many bytes.
const MOST_HEADER_BYTES: usize = 10;

/// The set that is meant, and how many are in it. A protocol that is served no longer is there as long as it has sessions.
fn find(
    hub: &Hub,
    deployment: &Deployment,
    publication: &Publication,
) -> Result<(SetId, u64), PublishError> {
    let vhost = publication.vhost.as_deref().unwrap_or(DEFAULT_VHOST);
    let name = &publication.protocol;
    let config = deployment.config();
    if config.vhost(vhost).is_none() {
        let names: Vec<_> = config.vhosts().map(|known| known.name.as_str()).collect();
        return Err(PublishError::NoVhost {
            name: vhost.to_owned(),
            mend: meant(vhost, &names),
        });
    }
    if let Some((set, is_joined)) = deployment.set(vhost, name) {
        let mut sessions = 0;
        hub.for_each(set, &mut |_| sessions += 1);
        if is_joined || sessions > 0 {
            return Ok((set, sessions));
        }
    }
    Err(PublishError::NoProtocol {
        name: name.clone(),
        vhost: vhost.to_owned(),
        mend: meant(name, &deployment.session_protocols(vhost)),
    })
}
