//! The services by name, and the one table of their default ports.

/// One of the services of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// The reverse proxy in front of the others.
    Gateway,
    /// The OAuth 2 authorization server.
    Auth,
    /// Orders.
    Orders,
    /// Stock.
    Inventory,
    /// Results of runs.
    Results,
    /// All of them in one process behind one listener.
    All,
}

impl ServiceKind {
    /// Every service, with its name and its default port. The admin listener is 1,000 above.
    pub const TABLE: [(ServiceKind, &'static str, u16); 6] = [
        (ServiceKind::Gateway, "gateway", 8443),
        (ServiceKind::Auth, "auth", 8444),
        (ServiceKind::Orders, "orders", 8445),
        (ServiceKind::Inventory, "inventory", 8446),
        (ServiceKind::Results, "results", 8447),
        (ServiceKind::All, "all", 8443),
    ];

    /// Distance from a service's port to its admin port.
    pub const ADMIN_PORT_OFFSET: u16 = 1_000;

    /// The service of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<ServiceKind> {
        ServiceKind::TABLE.iter().find(|line| line.1 == name).map(|line| line.0)
    }

    /// The service's name, which is also the name in its certificate.
    #[must_use]
    pub fn name(self) -> &'static str {
        ServiceKind::TABLE[self.line()].1
    }

    /// The port it listens on unless configured otherwise.
    #[must_use]
    pub fn port(self) -> u16 {
        ServiceKind::TABLE[self.line()].2
    }

    /// The port of its admin listener unless configured otherwise.
    #[must_use]
    pub fn admin_port(self) -> u16 {
        self.port() + ServiceKind::ADMIN_PORT_OFFSET
    }

    fn line(self) -> usize {
        let line = ServiceKind::TABLE.iter().position(|line| line.0 == self);
        line.expect("every service is in the table")
    }
}
