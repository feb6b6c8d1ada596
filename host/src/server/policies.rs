//! The policies that vhosts ask: an instance for each that a config names, made where a plugin provides it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::VhostConfig,
    context::policy::PolicyRoute,
    plugin::{
        generation::Generation, instance::InstancePlan, policy_adapter::HostedPolicy,
        refusal::Refusal, tables::Opened,
    },
    server::{
        deployment::{Deployment, Place, Served},
        instances::refused,
    },
};

/// What there is of policies.
#[derive(Default)]
pub(super) struct Policies {
    /// By name: what provides it.
    known: BTreeMap<String, Provider>,
    /// Those that a vhost asks.
    pub(super) served: BTreeMap<Place, Served<PolicyRoute>>,
    /// The operator was told that these are not there.
    told: Vec<Place>,
}

/// A policy of a generation.
#[derive(Clone)]
struct Provider {
    generation: Arc<Generation>,
    opened: Opened,
    index: usize,
}

/// Policies that are not visible yet.
#[derive(Default)]
pub(super) struct PreparedPolicies {
    known: Vec<(String, Provider)>,
    served: Vec<(Place, Served<PolicyRoute>)>,
}

impl Deployment {
    /// Makes the policies of a plugin for the vhosts that ask for them.
    pub(super) fn prepare_policies(
        &mut self,
        vhosts: &[VhostConfig],
        generation: &Arc<Generation>,
        opened: &Opened,
    ) -> Result<PreparedPolicies, Refusal> {
        let mut prepared = PreparedPolicies::default();
        for (index, policy) in opened.manifest.policies.iter().enumerate() {
            let provider = Provider {
                generation: Arc::clone(generation),
                opened: opened.clone(),
                index,
            };
            for vhost in vhosts {
                if vhost.asks(&policy.name) {
                    let place = (vhost.name.clone(), policy.name.clone());
                    let served = self.policy(vhost, &provider)?;
                    prepared.served.push((place, served));
                }
            }
            prepared.known.push((policy.name.clone(), provider));
        }
        Ok(prepared)
    }

    /// Policies for whatever is asked anew, or has other options than in `was`.
    pub(super) fn policies_made_anew(
        &mut self,
        vhosts: &[VhostConfig],
        was: impl Fn(&str) -> Option<VhostConfig>,
    ) -> Result<PreparedPolicies, Refusal> {
        let mut prepared = PreparedPolicies::default();
        for vhost in vhosts {
            let was = was(&vhost.name);
            for policy in &vhost.policies {
                let place = (vhost.name.clone(), policy.name.clone());
                let is_same = was
                    .as_ref()
                    .is_some_and(|was| was.policies.contains(policy));
                if is_same && self.policies.served.contains_key(&place) {
                    continue;
                }
                if let Some(provider) = self.policies.known.get(&policy.name).cloned() {
                    prepared
                        .served
                        .push((place, self.policy(vhost, &provider)?));
                }
            }
        }
        Ok(prepared)
    }

    fn policy(
        &mut self,
        vhost: &VhostConfig,
        provider: &Provider,
    ) -> Result<Served<PolicyRoute>, Refusal> {
        let Provider {
            generation,
            opened,
            index,
        } = provider;
        let name = &opened.manifest.policies[*index].name;
        let blocks = opened.policies[*index];
        let plan = InstancePlan {
            generation: Arc::clone(generation),
            name: name.clone(),
            block: blocks.instance,
            vhost: vhost.name.as_str().into(),
            set: None,
            options: vhost.policy_options(name),
            finished: Arc::clone(&self.finished),
            door: None,
        };
        let policy = HostedPolicy::create(plan, blocks.policy, &self.services, self.patience());
        let policy = policy.map_err(|fault| refused(generation, vhost, "policy", name, &fault))?;
        self.last_instance += 1;
        let route = PolicyRoute {
            name: name.as_str().into(),
            instance: self.last_instance,
            handler: Some(Arc::new(policy)),
        };
        Ok(Served::new(route, generation, opened, *index))
    }
}

impl Policies {
    /// What a vhost asks, in its order: with nobody to answer where no plugin provides it.
    pub(super) fn asked(&self, vhost: &VhostConfig) -> Vec<PolicyRoute> {
        let asked = vhost.policies.iter().map(|policy| {
            let place = (vhost.name.clone(), policy.name.clone());
            match self.served.get(&place) {
                Some(served) => served.route.clone(),
                None => PolicyRoute {
                    name: policy.name.as_str().into(),
                    instance: 0,
                    handler: None,
                },
            }
        });
        asked.collect()
    }

    /// Takes what was prepared in; gives what it takes the place of.
    pub(super) fn install(&mut self, prepared: PreparedPolicies) -> Vec<Served<PolicyRoute>> {
        self.known.extend(prepared.known);
        let served = prepared.served.into_iter();
        served
            .filter_map(|(place, served)| self.served.insert(place, served))
            .collect()
    }

    /// Takes out what some generations provide.
    pub(super) fn take_of(
        &mut self,
        is_meant: impl Fn(&Arc<Generation>) -> bool,
    ) -> Vec<Served<PolicyRoute>> {
        self.known
            .retain(|_, provider| !is_meant(&provider.generation));
        let taken = self
            .served
            .extract_if(.., |_, served| is_meant(&served.generation));
        taken.map(|(_, served)| served).collect()
    }

    /// Takes out what is asked no longer.
    pub(super) fn take_unwanted(
        &mut self,
        asks: impl Fn(&str, &str) -> bool,
    ) -> Vec<Served<PolicyRoute>> {
        let unwanted = self
            .served
            .extract_if(.., |(vhost, name), _| !asks(vhost, name));
        unwanted.map(|(_, served)| served).collect()
    }

    /// Tells the operator, once, of each policy that is asked and not there.
    pub(super) fn tell_missing<'v>(&mut self, vhosts: impl Iterator<Item = &'v VhostConfig>) {
        let mut missing = Vec::new();
        for vhost in vhosts {
            for policy in &vhost.policies {
                let place = (vhost.name.clone(), policy.name.clone());
                if self.served.contains_key(&place) {
                    continue;
                }
                if !self.told.contains(&place) {
                    tracing::error!(target: "hotsocket", vhost = vhost.name, policy = policy.name,
                        "no plugin provides this policy, so every request to the vhost is answered 503; \
                         put the plugin into the directory, or take the policy out of `policies`");
                }
                missing.push(place);
            }
        }
        self.told = missing;
    }
}
