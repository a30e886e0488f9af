//! One running shop as the bench deals with it between slices: key material, stock, metrics.
//!
//! Requests here are single ones over blocking sockets, none of them measured.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use authn::material::{CertifiedKey, ClientMaterial, certificates};
use authn::tls::{TlsOptions, client_config};
use metrics_export::prometheus::Scrape;
use runtime::blocking;
use runtime::url::Url;
use rustls::ClientConfig;

use crate::experiment::Failure;
use crate::plan::Variant;
use crate::proof::Pages;
use crate::stack::{Process, Started};
use crate::target::{Source, Target, TlsTarget};

/// The longest wait for one answer between slices.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The largest metrics page that is read.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// The stock of each SKU before a slice: a slice of a minute at a million items a second would
/// not exhaust it.
const STOCK: u32 = 1_000_000_000;

/// A running shop.
pub(super) struct Shop {
    label: String,
    url: Url,
    tls: Option<Arc<ClientConfig>>,
    target: Target,
    started: Started,
}

impl Shop {
    /// Reads the key material and resolves the address of started servers.
    pub(super) fn open(variant: &Variant, started: Started) -> Result<Shop, Failure> {
        let label = variant.label.clone();
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Failure(format!("{}: {what}: {error}", variant.label))
        };
        let url = Url::parse(&started.base_url).map_err(|error| failed("base URL", &error))?;
        let material = material(&started).map_err(|error| failed("key material", &error))?;
        let transport = variant.profile.transport;
        let config = |()| client_config(&material, transport, &TlsOptions::default(), false);
        let tls = config(()).map_err(|error| failed("TLS", &error))?;
        let addresses = url.resolve().map_err(|error| failed("address", &error))?;
        let name = || url.server_name().map_err(|error| failed("server name", &error));
        let tls_target = match &tls {
            Some(config) => Some(TlsTarget { config: Arc::clone(config), name: name()? }),
            None => None,
        };
        let target = Target {
            name: label.clone(),
            addresses,
            host: url.host_field(),
            tls: tls_target,
            source: Source::Auto,
        };
        Ok(Shop { label, url, tls, target, started })
    }

    pub(super) fn target(&self) -> Target {
        self.target.clone()
    }

    pub(super) fn processes(&self) -> &[Process] {
        &self.started.processes
    }

    pub(super) fn tokens(&self) -> &[String] {
        &self.started.tokens
    }

    /// The services that a request of a workload passes once, the first being the one addressed.
    pub(super) fn path(&self, workload: &str) -> Vec<&'static str> {
        let services: HashSet<&str> =
            self.started.processes.iter().map(|process| process.service.as_str()).collect();
        if services.contains("all") {
            return vec!["all"];
        }
        match workload {
            "orders-create" => vec!["gateway", "orders", "inventory"],
            "orders-read" => vec!["gateway", "orders"],
            "inventory-reserve" => vec!["gateway", "inventory"],
            _ => vec!["gateway"],
        }
    }

    /// Sets the stock of every SKU that the workload takes from.
    pub(super) fn refill(&self, stock: &[(&'static str, u64)]) -> Result<(), Failure> {
        for (sku, _) in stock {
            let body = format!("{{\"quantity\":{STOCK}}}");
            let authorization = self.tokens().first().map(|token| format!("Bearer {token}"));
            let mut fields: Vec<(&str, &[u8])> = vec![("Content-Type", b"application/json")];
            if let Some(value) = &authorization {
                fields.push(("Authorization", value.as_bytes()));
            }
            let mut url = self.url.clone();
            url.target = format!("/api/inventory/{sku}");
            let tls = self.tls.clone();
            let answer = blocking::request(
                &url,
                tls,
                "PUT",
                &fields,
                body.as_bytes(),
                ANSWER_WITHIN,
                PAGE_BYTES_MAX,
            );
            match answer {
                Ok(answer) if (200..300).contains(&answer.status) => {}
                Ok(answer) => return Err(self.refused(sku, &format!("status {}", answer.status))),
                Err(error) => return Err(self.refused(sku, &error.to_string())),
            }
        }
        Ok(())
    }

    fn refused(&self, sku: &str, why: &str) -> Failure {
        let label = &self.label;
        Failure(format!("{label}: the stock of {sku} could not be refilled: {why}; see the logs"))
    }

    /// Reads every process's metrics page.
    pub(super) fn scrape(&self) -> Result<Vec<Scrape>, Failure> {
        self.processes().iter().map(|process| self.page(process)).collect()
    }

    /// Reads them again and puts both readings together.
    pub(super) fn pages(&self, before: Vec<Scrape>) -> Result<Vec<Pages>, Failure> {
        let after = self.scrape()?;
        let readings = before.into_iter().zip(after);
        let pages = self.processes().iter().zip(readings);
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
            Failure(format!(
                "{}: the metrics of {} could not be read: {why}; see its log",
                self.label, process.service
            ))
        };
        let url = format!("http://{}/metrics", process.admin);
        let url = Url::parse(&url).map_err(|error| failed(&error))?;
        let answer = blocking::request(&url, None, "GET", &[], b"", ANSWER_WITHIN, PAGE_BYTES_MAX)
            .map_err(|error| failed(&error))?;
        if answer.status != 200 {
            return Err(failed(&format!("status {}", answer.status)));
        }
        Scrape::parse(&String::from_utf8_lossy(&answer.body)).map_err(|error| failed(&error))
    }
}

fn material(started: &Started) -> Result<ClientMaterial, String> {
    let read = |path: &Path| {
        fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
    };
    let roots = match &started.ca {
        Some(path) => certificates(&read(path)?).map_err(|error| error.to_string())?,
        None => Vec::new(),
    };
    let identity = match &started.client {
        Some(files) => {
            let (chain, key) = (read(&files.certificate)?, read(&files.key)?);
            let pair = CertifiedKey::from_pem(&chain, &key).map_err(|error| error.to_string())?;
            Some(pair)
        }
        None => None,
    };
    Ok(ClientMaterial { roots, identity })
}
