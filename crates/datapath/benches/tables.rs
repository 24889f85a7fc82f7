//! What it costs to find the peer of a packet among ten thousand.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use ginnel_datapath::hash::QuickMap;
use ginnel_datapath::learn::{Station, Stations};
use ginnel_datapath::route::Routes;

const PEERS: u32 = 10_000;

fn host(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0A08_0000 + number))
}

fn host6(number: u32) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits((0xFD00_0008 << 96) + u128::from(number)))
}

fn net(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0xAC10_0000 + (number << 8)))
}

/// A host of each family for every peer, a network for every tenth, and a way out.
fn routes() -> Routes {
    let mut routes = Routes::default();
    for number in 0..PEERS {
        routes.add(host(number), 32, number).unwrap();
        routes.add(host6(number), 128, number).unwrap();
        if number % 10 == 0 {
            routes.add(net(number / 10), 24, number).unwrap();
        }
    }
    routes.add(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, 1).unwrap();
    routes
}

/// Every call another one, far from the one before.
fn wanderer() -> impl FnMut() -> u32 {
    let mut at = 0u32;
    move || {
        at = (at + 6_151) % PEERS;
        at
    }
}

fn lookups(criterion: &mut Criterion) {
    let routes = routes();
    let mut group = criterion.benchmark_group("tables");
    let mut next = wanderer();
    group.bench_function("route to a host", |bench| {
        bench.iter(|| routes.lookup(black_box(host(next()))));
    });
    group.bench_function("route to an IPv6 host", |bench| {
        bench.iter(|| routes.lookup(black_box(host6(next()))));
    });
    group.bench_function("route to a network", |bench| {
        bench.iter(|| routes.lookup(black_box(net(next() / 10))));
    });
    let out = IpAddr::from([192, 0, 2, 1]);
    group.bench_function("route of last resort", |bench| {
        bench.iter(|| routes.lookup(black_box(out)));
    });
    let by_id: QuickMap<u32, u64> = (0..PEERS).map(|number| (number, 0)).collect();
    group.bench_function("peer by id", |bench| bench.iter(|| by_id.get(&black_box(next()))));
    let mut stations = Stations::default();
    let station = |number: u32| {
        let [.., high, low] = number.to_be_bytes();
        Station { mac: [2, 0, 0, 0, high, low], vlan: 1 }
    };
    for number in 0..PEERS {
        stations.learn(number, station(number), (256, true), 0).unwrap();
    }
    group.bench_function("station by address", |bench| {
        bench.iter(|| stations.find(black_box(station(next()))));
    });
    group.bench_function("station that is known", |bench| {
        bench.iter(|| {
            let number = next();
            stations.learn(number, black_box(station(number)), (256, true), 0)
        });
    });
    group.finish();
}

fn changes(criterion: &mut Criterion) {
    let mut routes = routes();
    let mut next = wanderer();
    criterion.bench_function("tables/a peer leaves and comes back", |bench| {
        bench.iter(|| {
            let number = next();
            routes.remove_peer(number);
            routes.add(host(number), 32, number).unwrap();
            routes.add(host6(number), 128, number).unwrap();
        });
    });
}

criterion_group!(tables, lookups, changes);
criterion_main!(tables);
