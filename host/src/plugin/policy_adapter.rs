//! An instance of a plugin's policy as the context sees it: [`PolicyHandler`] over the blocks of the ABI.
//!
//! The safety of every call here rests on what `adapter.rs` says of a protocol's.

use std::{ffi::c_void, ptr, sync::Arc, time::Duration};

use hotsocket_abi::{
    Handshake, Judged, PolicyBlock, STATUS_NONE, STATUS_OK, STATUS_PENDING, Status,
};

use crate::{
    context::{
        handler::{Fault, Hosted, Label, ThreadState},
        handshake::HandshakeCall,
        policy::{PolicyCall, PolicyHandler, Verdict},
    },
    plugin::{
        handshake_calls::HANDSHAKE_CALLS,
        instance::{self, InstancePlan, outcome, pointer},
        policy_calls::POLICY_CALLS,
        services::Services,
    },
};

/// A policy of a generation on a vhost.
pub struct HostedPolicy {
    instance: instance::Instance,
    block: PolicyBlock,
}

/// A hook of the ABI that is asked about a connection or a request.
type Hook = unsafe extern "C" fn(instance: *mut c_void, judged: *const Judged) -> Status;

impl HostedPolicy {
    /// Has the plugin make an instance, on a loader thread.
    ///
    /// # Errors
    ///
    /// What the plugin says against it, such as an option that it does not know; or that it takes too long.
    pub fn create(
        plan: InstancePlan,
        block: PolicyBlock,
        services: &Arc<Services>,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let instance = instance::Instance::create(plan, services, patience)?;
        Ok(Self { instance, block })
    }

    /// Calls a hook: what it answers, if that is one of `known`.
    fn hook(
        &self,
        name: &'static str,
        hook: Hook,
        known: &[Status],
        call: &mut PolicyCall<'_, '_>,
    ) -> Result<Status, Fault> {
        let judged = Judged {
            thread: pointer(call.thread.0),
            context: ptr::from_mut(call).cast(),
            calls: &POLICY_CALLS,
        };
        // SAFETY: see the module; what is judged is lent for the call.
        let status = unsafe { hook(self.instance.pointer(), &judged) };
        if status == STATUS_OK || known.contains(&status) {
            return Ok(status);
        }
        outcome(status, name, || std::mem::take(&mut call.fault)).map(|()| status)
    }

    fn told(
        &self,
        name: &'static str,
        hook: Hook,
        call: &mut PolicyCall<'_, '_>,
    ) -> Result<(), Fault> {
        self.hook(name, hook, &[], call).map(|_| ())
    }

    fn asked(
        &self,
        name: &'static str,
        hook: Hook,
        call: &mut PolicyCall<'_, '_>,
    ) -> Result<bool, Fault> {
        let status = self.hook(name, hook, &[STATUS_NONE], call)?;
        Ok(status == STATUS_OK)
    }
}

impl Hosted for HostedPolicy {
    fn label(&self) -> &Label {
        self.instance.label()
    }

    fn name(&self) -> &str {
        self.instance.name()
    }

    fn retire(&self) -> Result<(), Fault> {
        self.instance.retire()
    }

    fn thread_create(&self) -> Result<ThreadState, Fault> {
        self.instance.thread_create()
    }

    fn thread_destroy(&self, thread: ThreadState) -> Result<(), Fault> {
        self.instance.thread_destroy(thread)
    }
}

impl PolicyHandler for HostedPolicy {
    fn created(&self, call: &mut PolicyCall<'_, '_>) -> Result<(), Fault> {
        self.told("create", self.block.created, call)
    }

    fn accept(&self, call: &mut PolicyCall<'_, '_>) -> Result<bool, Fault> {
        self.asked("accept", self.block.accept, call)
    }

    fn connection(&self, call: &mut PolicyCall<'_, '_>) -> Result<bool, Fault> {
        self.asked("connection", self.block.connection, call)
    }

    fn certificate(&self, call: &mut PolicyCall<'_, '_>) -> Result<bool, Fault> {
        self.asked("certificate", self.block.certificate, call)
    }

    fn request(&self, call: &mut PolicyCall<'_, '_>) -> Result<Verdict, Fault> {
        let known = [STATUS_NONE, STATUS_PENDING];
        let status = self.hook("request", self.block.request, &known, call)?;
        Ok(match status {
            STATUS_OK => Verdict::Allowed,
            STATUS_PENDING => Verdict::Pending,
            _ => Verdict::Refused,
        })
    }

    fn handshake(&self, call: &mut HandshakeCall<'_>) -> Result<bool, Fault> {
        let handshake = Handshake {
            thread: pointer(call.thread.0),
            context: ptr::from_mut(call).cast(),
            calls: &HANDSHAKE_CALLS,
        };
        // SAFETY: see the module; the handshake is lent for the call.
        let status = unsafe { (self.block.handshake)(self.instance.pointer(), &handshake) };
        match status {
            STATUS_OK => Ok(true),
            STATUS_NONE => Ok(false),
            _ => outcome(status, "handshake", || std::mem::take(&mut call.fault)).map(|()| false),
        }
    }

    fn destroyed(&self, call: &mut PolicyCall<'_, '_>) -> Result<(), Fault> {
        self.told("destroy", self.block.destroyed, call)
    }
}
