//! The running servers of one variant as the bench deals with them between slices: key material,
//! stock, orders to be read, metrics.
//!
//! Requests here are single ones over blocking sockets, none of them measured.

use std::sync::Arc;
use std::time::Duration;

use metrics_export::prometheus::{ACCEPT, Scrape};
use runtime::blocking::{self, Response};
use runtime::url::Url;
use rustls::ClientConfig;

use crate::experiment::proof::Pages;
use crate::experiment::stack::{Requests, Started};
use crate::experiment::{Asked, Failure};
use crate::machine::process::{self, Process};
use crate::traffic::target::{Source, Target, TlsTarget};
use crate::traffic::tokens::Tokens;
use crate::traffic::workload::Workload;

/// The longest wait for one answer between slices.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The largest metrics page that is read.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// The stock of each SKU before a slice: a slice of a minute at a million items a second would
/// not exhaust it.
const STOCK: u32 = 1_000_000_000;

/// Orders that are made for orders-read: enough that no one of them is in a cache for being hot.
const ORDERS_TO_READ: usize = 64;

/// The running servers of a variant.
pub(super) struct Site {
    label: String,
    tls: Option<Arc<ClientConfig>>,
    target: Target,
    started: Started,
}

impl Site {
    /// Reads the key material and resolves the address of started servers.
    pub(super) fn open(label: &str, started: Started) -> Result<Site, Failure> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Failure::new(format!("{label}: {what}: {error}"))
        };
        let url = &started.url;
        let tls = url.is_tls().then(|| started.trust.config()).transpose();
        let tls = tls.map_err(|error| failed("TLS", &error))?;
        let addresses = match &started.connect_to {
            Some(addresses) => addresses.clone(),
            None => url.resolve().map_err(|error| failed("address", &error))?,
        };
        let name = || match &started.server_name {
            Some(name) => Ok(name.clone()),
            None => url.server_name().map_err(|error| failed("server name", &error)),
        };
        let tls_target = match &tls {
            Some(config) => Some(TlsTarget { config: Arc::clone(config), name: name()? }),
            None => None,
        };
        let target = Target {
            name: label.into(),
            addresses,
            host: url.host_field(),
            tls: tls_target,
            source: Source::Auto,
        };
        Ok(Site { label: label.into(), tls, target, started })
    }

    pub(super) fn target(&self) -> Target {
        self.target.clone()
    }

    pub(super) fn processes(&self) -> &[Process] {
        &self.started.processes
    }

    pub(super) fn tokens(&self) -> Tokens {
        self.started.tokens.clone()
    }

    /// A sentence about a server of these that ended by itself.
    pub(super) fn fallen(&self) -> Option<String> {
        self.started.keep.fallen()
    }

    /// Whether connections go to a loopback address, which has any number of source addresses.
    pub(super) fn is_loopback(&self) -> bool {
        self.target.addresses.iter().all(|address| address.ip().is_loopback())
    }

    /// The request of these servers themselves; None for the shop's, which have the cell's.
    pub(super) fn own_workload(&self) -> Option<&Workload> {
        match &self.started.requests {
            Requests::Own(workload) => Some(workload.as_ref()),
            Requests::Shop { .. } => None,
        }
    }

    /// How results name these servers.
    pub(super) fn asked(&self) -> Asked {
        let request = self.own_workload().map(|workload| {
            let Url { scheme, target, .. } = &self.started.url;
            let path = target.split('?').next().unwrap_or_default();
            format!("{} {}://{}{path}", workload.method, scheme.as_str(), self.target.host)
        });
        Asked { request, cpu_source: process::cpu_source_kind(self.processes()) }
    }

    /// The services that a request of the cell's workload passes once; none for foreign servers.
    pub(super) fn path(&self) -> &[&'static str] {
        match &self.started.requests {
            Requests::Shop { path } => path,
            Requests::Own(_) => &[],
        }
    }

    /// Sets the stock of every SKU that the workload takes from.
    pub(super) fn refill(&self, stock: &[(&'static str, u64)]) -> Result<(), Failure> {
        for (sku, _) in stock {
            let body = format!("{{\"quantity\":{STOCK}}}");
            let what = format!("the stock of {sku} could not be refilled");
            let target = format!("/api/inventory/{sku}");
            self.ask(self.stock_url(), &target, "PUT", body.as_bytes(), &what)?;
        }
        Ok(())
    }

    /// Makes orders and returns their ids.
    pub(super) fn make_orders(&self) -> Result<Vec<Box<str>>, Failure> {
        let body = br#"{"customerId":"reader","itemSkus":["SKU-1000"],"totalAmount":1.0}"#;
        let what = "an order to be read could not be made";
        let order = || {
            let url = self.started.url.clone();
            let answer = self.ask(url, "/api/orders", "POST", body, what)?;
            let answer: serde_json::Value = serde_json::from_slice(&answer.body)
                .map_err(|error| self.failed(what, &error.to_string()))?;
            let id = answer["orderId"].as_str();
            id.map(Into::into).ok_or_else(|| self.failed(what, "the answer has no orderId"))
        };
        (0..ORDERS_TO_READ).map(|_| order()).collect()
    }

    /// Where stock is set: where requests go, unless that service does not know of stock.
    fn stock_url(&self) -> Url {
        self.started.stock_url.clone().unwrap_or_else(|| self.started.url.clone())
    }

    fn ask(
        &self,
        mut url: Url,
        target: &str,
        method: &str,
        body: &[u8],
        what: &str,
    ) -> Result<Response, Failure> {
        url.target = target.into();
        let authorization = self.started.tokens.first().map(|token| format!("Bearer {token}"));
        let mut fields: Vec<(&str, &[u8])> = vec![("Content-Type", b"application/json")];
        if let Some(value) = &authorization {
            fields.push(("Authorization", value.as_bytes()));
        }
        let tls = self.tls.clone();
        let asked = blocking::request_leniently(
            &url,
            tls,
            method,
            &fields,
            body,
            ANSWER_WITHIN,
            PAGE_BYTES_MAX,
        );
        match asked {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(answer),
            Ok(answer) => Err(self.failed(what, &format!("status {}", answer.status))),
            Err(error) => Err(self.failed(what, &error.to_string())),
        }
    }

    fn failed(&self, what: &str, why: &str) -> Failure {
        Failure::new(format!("{}: {what}: {why}; see the logs", self.label))
    }

    /// Reads every process's metrics page.
    pub(super) fn scrape(&self) -> Result<Vec<Scrape>, Failure> {
        self.paged().map(|process| self.page(process)).collect()
    }

    fn paged(&self) -> impl Iterator<Item = &Process> {
        self.processes().iter().filter(|process| process.admin.is_some())
    }

    /// Reads them again and puts both readings together.
    pub(super) fn pages(&self, before: Vec<Scrape>) -> Result<Vec<Pages>, Failure> {
        let after = self.scrape()?;
        let readings = before.into_iter().zip(after);
        let pages = self.paged().zip(readings);
        let pages = pages.map(|(process, (before, after))| Pages {
            service: process.service.clone(),
            before,
            after,
        });
        Ok(pages.collect())
    }

    /// The drivers that the processes run on, as their metrics name them.
    pub(super) fn drivers(&self) -> Result<Vec<String>, Failure> {
        let driver =
            |page: &Scrape| page.label("tollgate_runtime_info", "driver").map(str::to_owned);
        Ok(self.scrape()?.iter().filter_map(driver).collect())
    }

    fn page(&self, process: &Process) -> Result<Scrape, Failure> {
        let failed = |why: &dyn std::fmt::Display| {
            Failure::new(format!(
                "{}: the metrics of {} could not be read: {why}; see its log",
                self.label, process.service
            ))
        };
        let admin = process.admin.ok_or_else(|| failed(&"it has no admin address"))?;
        let url = format!("http://{admin}/metrics");
        let url = Url::parse(&url).map_err(|error| failed(&error))?;
        let accept: [(&str, &[u8]); 1] = [("Accept", ACCEPT.as_bytes())];
        let answer = blocking::request_leniently(
            &url,
            None,
            "GET",
            &accept,
            b"",
            ANSWER_WITHIN,
            PAGE_BYTES_MAX,
        )
        .map_err(|error| failed(&error))?;
        if answer.status != 200 {
            return Err(failed(&format!("status {}", answer.status)));
        }
        Scrape::parse(&String::from_utf8_lossy(&answer.body)).map_err(|error| failed(&error))
    }
}
