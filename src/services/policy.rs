//! Who may do what: one function, asked by every service method before it acts. Deny by default.
//!
//! An object that a person may not read does not exist for them: services turn a refusal into `NotFound`.

use super::context::Actor;
use crate::domain::ids::UserId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Read,
    Write,
}

/// What an action is about.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// Something that one person owns: dataset, job, model, session.
    Owned(&'a UserId),
    /// Settings and people of the whole platform.
    Platform,
}

/// Own things: everything. Others' things: nothing, not even for Admins. The platform: Admins.
pub fn authorize(actor: &Actor, action: Action, resource: Resource<'_>) -> bool {
    match resource {
        Resource::Owned(owner) if *owner == actor.user.id => true,
        Resource::Owned(_) => false,
        Resource::Platform => actor.is_admin() && matches!(action, Action::Read | Action::Write),
    }
}
