//! A guest that lives on: it asks for everything a guest may ask for, and logs what it hears. Its twins in the other
//! languages log the same, line for line.

use numax::*;
use std::{cell::Cell, fmt::Display, time::Duration};

thread_local!(static CALLS: Cell<u32> = Cell::new(0)); // memory lasts from call to call

export!(
    init,
    on_change,
    on_remote_op,
    on_tick,
    on_message,
    on_request,
    on_peer_connected,
    on_peer_disconnected,
    shutdown
);

fn init() -> Result<()> {
    let ms = Duration::from_millis;
    see("watch", ok(watch("a/")));
    see("unwatch", ok(unwatch("b/")));
    see("timer", ok(set_timer(7, ms(100), ms(1000))));
    see("cancel", cancel_timer(1));
    see("cancel", cancel_timer(9));
    see("use", use_dataset("other"));
    see("use", use_dataset("none"));
    see("subscribe", ok(subscribe("s.x")));
    see("unsubscribe", ok(unsubscribe("s.y")));
    see("publish", ok(publish("s.p", b"hi")));
    see("publish", ok(publish("not a subject", b"")));
    see("send", ok(send("node-2", "s.s", b"x")));
    let answer = ask("s.q", b"?", ms(50));
    see("ask", answer.map(|a| format!("{} {}", a.is_some(), utf8(&a.unwrap_or_default()))));
    let mut fetched = fetch("POST", "http://h/", &[("A", "b"), ("C", "d")], b"body")?;
    see("fetch", Ok(fetched.status));
    let header = |name| fetched.header(name).unwrap_or_default();
    see("fetch", Ok(format!("{},{}", header("Kind"), header("None"))));
    see("fetch", fetched.body().map(|b| utf8(&b)));
    blob()?;
    see("event", Ok(field("event").unwrap_or_default()));
    Ok(())
}

fn blob() -> Result<()> {
    see("blob", ok(write_blob(b"a blob")));
    let hash = finish_blob()?;
    let size = blob_size(&hash)?.unwrap_or_default();
    let mut text = [0; 64];
    see("blob", read_blob(&hash, 0, &mut text).map(|n| format!("{} {}", size, utf8(&text[..n.unwrap_or_default()]))));
    see("blob", drop_blob(&hash));
    see("blob", drop_blob(&hash));
    see("blob", blob_size(&hash).map(|n| n.is_some()));
    Ok(())
}

fn on_change() {
    change("on_change")
}

fn on_remote_op() {
    change("on_remote_op")
}

fn change(what: &str) {
    called();
    let c = Change::current();
    see(what, Ok(format!("{} {} {}", c.dataset, c.family, c.key)));
}

fn on_tick() {
    called();
    see("on_tick", Ok(current_timer()));
}

fn on_message() -> Result<()> {
    called();
    let m = Message::current()?;
    see("on_message", Ok(format!("{} {} {}", m.subject, m.from, utf8(&m.payload))));
    if m.asks {
        see("reply", ok(reply(&[b"echo ", &m.payload[..]].concat())));
    }
    see("reply", ok(reply(b"")));
    Ok(())
}

fn on_request() -> Result<()> {
    called();
    let r = Request::current();
    let accept = r.header("Accept").unwrap_or_default();
    see("on_request", Ok(format!("{} {} {} {} {} {}", r.method, r.path, r.query, r.host, r.remote, accept)));
    let body = body()?;
    see("on_request", Ok(body.len()));
    see("status", ok(set_status(201)));
    see("status", ok(set_status(99)));
    see("header", ok(set_header("Kind", "x")));
    see("write", ok(respond(b"got ")));
    see("write", ok(respond(&body[..4])));
    Ok(())
}

fn on_peer_connected() {
    peer("on_peer_connected")
}

fn on_peer_disconnected() {
    peer("on_peer_disconnected")
}

fn peer(what: &str) {
    called();
    let p = current_peer();
    see(what, Ok(format!("{} {}", p.addr, p.id)));
}

fn shutdown() {
    see("shutdown", Ok(CALLS.with(Cell::get)));
}

fn called() {
    CALLS.with(|c| c.set(c.get() + 1));
}

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

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
