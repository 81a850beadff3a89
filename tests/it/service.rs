//! The service, over the network: what it gives, and every refusal with its status and its code.

mod by_hand;
mod certified;
mod consistency;
mod foreign;
mod governance;
mod issuance;
mod lifecycle;
mod platforms;
mod promises;
mod registration;
mod replay;
mod roles;
mod scrapi;
mod start;
mod tiles;
mod witnessing;
