//! How many connections others may hold, in all and from one address (N7, S73).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::options::Limits;

/// Counts connections that others opened.
#[derive(Debug)]
pub(crate) struct Admission {
    open: Mutex<Open>,
    max: usize,
    per_ip_max: usize,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    per_ip: HashMap<IpAddr, usize>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let Limits { connections_max: max, connections_per_ip_max: per_ip_max, .. } = *limits;
        Arc::new(Self { open: Mutex::default(), max, per_ip_max })
    }

    /// Admits one more connection, if there may be one.
    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Permit> {
        let mut open = self.open.lock();
        let from_ip = open.per_ip.get(&ip).copied().unwrap_or(0);
        if open.count >= self.max || from_ip >= self.per_ip_max {
            return None;
        }
        open.count += 1;
        open.per_ip.insert(ip, from_ip + 1);
        Some(Permit { admission: Arc::clone(self), ip })
    }
}

/// One admitted connection, as long as it lives.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    ip: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.count -= 1;
        let left = open.per_ip.get(&self.ip).map_or(0, |count| count - 1);
        if left == 0 {
            open.per_ip.remove(&self.ip);
        } else {
            open.per_ip.insert(self.ip, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_what_ends_makes_room() {
        let limits = Limits { connections_max: 3, connections_per_ip_max: 2, ..Limits::default() };
        let admission = Admission::new(&limits);
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = admission.admit(one).unwrap();
        let _second = admission.admit(one).unwrap();
        assert!(admission.admit(one).is_none(), "two from one address");
        let third = admission.admit(two).unwrap();
        assert!(admission.admit(two).is_none(), "three in all");
        drop(first);
        let _fourth = admission.admit(one).unwrap();
        drop(third);
        assert!(
            !admission.open.lock().per_ip.contains_key(&two),
            "addresses without connections are forgotten"
        );
    }
}
