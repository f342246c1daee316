//! How often a thing may be tried: token buckets keyed by address or account. In memory: a restart forgets them.

use super::error::{ServiceError, ServiceResult};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use std::num::NonZeroU32;

type Keyed = RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock>;

pub struct Limits {
    clock: DefaultClock,
    sign_in_ip: Keyed,
    sign_in_account: Keyed,
    register_ip: Keyed,
}

impl Limits {
    /// Sign-in: 5 a minute per address and per account. Registration: 20 a minute per address.
    pub fn new() -> Self {
        let per_minute = |n: NonZeroU32| RateLimiter::keyed(Quota::per_minute(n));
        Self {
            clock: DefaultClock::default(),
            sign_in_ip: per_minute(FIVE),
            sign_in_account: per_minute(FIVE),
            register_ip: per_minute(TWENTY),
        }
    }
    pub fn sign_in_from(&self, ip: &str) -> ServiceResult<()> {
        self.check(&self.sign_in_ip, ip)
    }
    pub fn sign_in_to(&self, account: &str) -> ServiceResult<()> {
        self.check(&self.sign_in_account, account)
    }
    pub fn register(&self, ip: &str) -> ServiceResult<()> {
        self.check(&self.register_ip, ip)
    }

    fn check(&self, limiter: &Keyed, key: &str) -> ServiceResult<()> {
        if limiter.len() > 10_000 {
            limiter.retain_recent();
        }
        limiter
            .check_key(&key.to_owned())
            .map_err(|wait| ServiceError::TooMany { retry_after: wait.wait_time_from(self.clock.now()) })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

const FIVE: NonZeroU32 = NonZeroU32::new(5).unwrap();
const TWENTY: NonZeroU32 = NonZeroU32::new(20).unwrap();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_sign_in_of_an_address_waits_and_others_do_not() {
        let limits = Limits::new();
        for _ in 0..5 {
            limits.sign_in_from("192.0.2.1").unwrap();
        }
        assert!(matches!(limits.sign_in_from("192.0.2.1"), Err(ServiceError::TooMany { .. })));
        limits.sign_in_from("192.0.2.2").unwrap();
    }
}
