//! A guest that calls every function of the SDK and logs what it sees. Its twins in the other languages log the same,
//! line for line; the sandbox's tests run them all.

use numax::*;
use std::fmt::Display;

fn run() {
    let grow = GCounter("clé");
    see("grow", ok(grow.add(2)));
    see("grow", grow.value());
    see("grow", ok(GCounter("most").add(u64::MAX)));
    see("grow", GCounter("most").value());
    let stock = PNCounter("k");
    see("stock", ok(stock.add(1)));
    see("stock", ok(stock.add(-6)));
    see("stock", stock.value());
    see("stock", ok(PNCounter("least").add(i64::MIN)));
    see("stock", PNCounter("least").value());

    let register = Register("k");
    see("register", maybe(register.get()));
    see("register", ok(register.set("žluť".as_bytes())));
    see("register", maybe(register.get()));

    let map = Map("k");
    see("map", ok(map.set("b", b"2")));
    see("map", ok(map.set("a", b"1")));
    see("map", ok(map.set("c", b"")));
    see("map", ok(map.remove("c")));
    see("map a", map.contains("a"));
    see("map c", map.contains("c"));
    see("map b", maybe(map.get("b")));
    see("map", map.entries().map(|all| join(all, |(field, value)| format!("{field}={}", utf8(value)))));

    let set = Set("k");
    for element in ["y", "x", "z"] {
        see("set", ok(set.add(element)));
    }
    see("set", ok(set.remove("z")));
    see("set z", set.contains("z"));
    see("set", set.elements().map(|all| all.join(",")));

    let list = List("k");
    let first = list.insert_after(HEAD, b"one").unwrap_or_default();
    see("list", ok(list.insert_after(&first, b"two").map(drop)));
    see("list", ok(list.delete(&first)));
    see("list", list.values().map(|all| join(all, |v| utf8(v))));

    for (key, value) in [("p/1", "x"), ("p/2", ""), ("q", "")] {
        see("private", ok(put(key.as_bytes(), value.as_bytes())));
    }
    see("private", ok(delete(b"q")));
    see("private q", exists(b"q"));
    see("private q", maybe(get(b"q")));
    see("private p/1", maybe(get(b"p/1")));
    see("private p/2", maybe(get(b"p/2")));
    see("scan", scan(b"p/", b"", 9).map(|all| join(all, |(k, v)| format!("{}={}", utf8(k), utf8(v)))));
    see("keys", keys(b"p/", b"p/1", 9).map(|all| join(all, |k| utf8(k))));

    see("large", ok(put(b"large", &vec![0; 1 << 20])));
    see("large", get(b"large").map(|v| v.map_or(0, |v| v.len())));
    see("too large", scan(b"large", b"", 9).map(|all| all.len()));
    see("too large", ok(put(b"large", &vec![0; (1 << 20) + 1])));
    see("reserved", ok(put(b"__nx/", b"")));
    see("long key", ok(GCounter(&"k".repeat(8193)).add(1)));
    see("bad event", ok(emit("a b", b"")));

    see("module", module_id());
    see("capabilities", capabilities().map(|all| all.iter().any(|name| name == "commit")));
    see("env", Ok(env("NX_MODE").unwrap_or_else(|| "absent".into())));
    see("env", Ok(env("NX_NONE").unwrap_or_else(|| "absent".into())));
    see("event", ok(emit("done", b"p")));
    see("now", Ok(now().as_millis()));
    see("monotonic", Ok(monotonic().as_millis() < 1 << 40));
    see("random", ok(random(&mut [0; 9])));
    see("sha256", sha256(b"abc").map(hex));
    see("blake3", blake3(b"abc").map(hex));
    see("node", node_id());
    see("peers", peers().map(|all| join(all, |p| format!("{}={}", p.addr, p.id))));
    see("commit", ok(commit()));
    abort("as told");
}

export!(run);

fn see(what: &str, value: Result<impl Display>) {
    let line = match value {
        Ok(v) => format!("{what}: {v}"),
        Err(e) => format!("{what}: {e}"),
    };
    log(&line).unwrap()
}

fn ok(done: Result<()>) -> Result<&'static str> {
    done.map(|()| "ok")
}

fn maybe(value: Result<Option<Vec<u8>>>) -> Result<String> {
    value.map(|v| v.map_or("absent".into(), |v| utf8(&v)))
}

fn join<T>(all: Vec<T>, show: impl Fn(&T) -> String) -> String {
    all.iter().map(show).collect::<Vec<_>>().join(",")
}

fn utf8(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(bytes.as_ref()).into_owned()
}

fn hex(sum: [u8; 32]) -> String {
    sum[..4].iter().map(|b| format!("{b:02x}")).collect()
}
