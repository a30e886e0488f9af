//! The services of the shop, each on its own listener, under one profile. It refuses to hide who
//! stands where: tests call any of them.

use authn::{Algorithm, Profile, Signer};
use runtime::DriverChoice;
use services::{
    AuthConfig, GatewayConfig, InventoryConfig, KeySource, OrdersConfig, OutboundConfig,
    ServiceConfig, ServiceRole,
};

use super::{Client, Lab, Server, before_orders, start};

/// The services of one profile; the test signs tokens with the key of the authorization server.
pub(crate) struct Mesh {
    pub(crate) lab: Lab,
    pub(crate) signer: Signer,
    pub(crate) profile: Profile,
    pub(crate) gateway: Server,
    pub(crate) orders: Server,
    pub(crate) inventory: Server,
    pub(crate) auth: Server,
}

impl Mesh {
    pub(crate) fn start(profile: Profile, driver: DriverChoice) -> Mesh {
        Mesh::with(profile, |config| config.driver = driver)
    }

    /// One whose services are configured as `change` leaves them.
    pub(crate) fn with(profile: Profile, change: impl Fn(&mut ServiceConfig)) -> Mesh {
        let lab = Lab::new();
        let config = |role: ServiceRole| {
            let mut config = lab.config(role, profile);
            change(&mut config);
            config
        };
        lab.issue("clients/gateway", "gateway", false);
        let auth = start(config(AuthConfig::default().into()));
        let key = lab.read("auth/es256.key");
        let signer = Signer::from_pem(Algorithm::Es256, &key, None).unwrap();
        let outbound = OutboundConfig { auth: Some(auth.url()), ..OutboundConfig::default() };
        let behind = |role: ServiceRole| {
            let mut config = config(role);
            config.jwks = Some(KeySource::Url(format!("{}/.well-known/jwks.json", auth.url())));
            start(config)
        };
        let settings = InventoryConfig { auth: Some(auth.url()), ..InventoryConfig::default() };
        let inventory = behind(settings.into());
        let settings =
            OrdersConfig { outbound: outbound.clone(), ..OrdersConfig::new(inventory.url()) };
        let orders = behind(settings.into());
        let settings = GatewayConfig {
            inventory: Some(inventory.url()),
            outbound,
            ..before_orders(orders.url())
        };
        let gateway = behind(settings.into());
        Mesh { lab, signer, profile, gateway, orders, inventory, auth }
    }

    /// A client that shows the certificate of `name` where there is mutual TLS.
    pub(crate) fn client(&self, name: &str) -> Client {
        self.lab.client(self.profile.transport, Some(name))
    }
}
