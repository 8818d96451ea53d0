//! A scripted caller: text in, text out, nothing of the dialer's own SIP.

use std::net::SocketAddr;
use std::time::Duration;

use campanile::domain::time::Mono;
use campanile::lab::clock::Clock;
use campanile::protocols::audio::clip::Clip;
use campanile::protocols::rtp::sender::Identity;
use campanile::protocols::rtp::talker::Talker;
use campanile::protocols::sdp::{self, MediaParams};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Longer than anything that a test waits for.
const LONG: Duration = Duration::from_secs(5);

/// One caller with one call.
pub(crate) struct Uac {
    socket: UdpSocket,
    pub(crate) rtp: UdpSocket,
    far: SocketAddr,
    local: SocketAddr,
    call_id: String,
    user: String,
    branch: String,
    /// To of the last answer, with its tag.
    to: String,
}

impl Uac {
    pub(crate) async fn new(far: SocketAddr, user: &str, call_id: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        Self {
            rtp,
            far,
            local,
            call_id: call_id.to_owned(),
            user: user.to_owned(),
            branch: format!("z9hG4bK-{call_id}"),
            to: format!("<sip:{user}@{far}>"),
            socket,
        }
    }

    /// A request; `to` and `branch` as they stand.
    pub(crate) async fn send(&self, method: &str, cseq: u32, branch: &str, body: &str) {
        let Self { far, local, call_id, user, to, .. } = self;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:{user}@{far} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch={branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+12025550100@{local}>;tag=uac\r\nTo: {to}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:uac@{local}>\r\n\
             {kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.socket.send_to(text.as_bytes(), far).await.unwrap();
    }

    /// The first INVITE, or a repetition of it.
    pub(crate) async fn invite(&self) {
        let offer = sdp::offer(self.rtp.local_addr().unwrap(), 1);
        self.send("INVITE", 1, &self.branch, &String::from_utf8(offer).unwrap()).await;
    }

    /// ACK of a 2xx.
    pub(crate) async fn ack(&self) {
        self.send("ACK", 1, &format!("{}-ack", self.branch), "").await;
    }

    /// ACK of a refusal: the INVITE's branch.
    pub(crate) async fn ack_refusal(&self) {
        self.send("ACK", 1, &self.branch, "").await;
    }

    /// CANCEL: To without tag, the INVITE's branch.
    pub(crate) async fn cancel(&mut self) {
        self.to = format!("<sip:{}@{}>", self.user, self.far);
        self.send("CANCEL", 1, &self.branch, "").await;
    }

    /// BYE.
    pub(crate) async fn bye(&self) {
        self.send("BYE", 2, &format!("{}-bye", self.branch), "").await;
    }

    /// Garbage.
    pub(crate) async fn raw(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.far).await.unwrap();
    }

    /// The next message from the far side.
    pub(crate) async fn next(&mut self) -> Incoming {
        self.next_within(LONG).await.expect("a message")
    }

    /// The next message, if one comes in time.
    pub(crate) async fn next_within(&mut self, wait: Duration) -> Option<Incoming> {
        let mut buffer = vec![0; 65_535];
        let (length, _) = timeout(wait, self.socket.recv_from(&mut buffer)).await.ok()?.unwrap();
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let incoming = Incoming { text };
        if incoming.status().is_some_and(|status| status > 100) {
            self.to = incoming.header("To");
        }
        Some(incoming)
    }

    /// Messages up to the first with this status, which is given back.
    pub(crate) async fn until(&mut self, status: u16) -> Incoming {
        loop {
            let incoming = self.next().await;
            if incoming.status() == Some(status) {
                return incoming;
            }
        }
    }

    /// Messages up to the first request of this method.
    pub(crate) async fn until_request(&mut self, method: &str) -> Incoming {
        loop {
            let incoming = self.next().await;
            if incoming.text.starts_with(&format!("{method} ")) {
                return incoming;
            }
        }
    }

    /// 200 to a request of the far side.
    pub(crate) async fn accept(&self, request: &Incoming) {
        let mut text = "SIP/2.0 200 OK\r\n".to_owned();
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            text.extend([name, ": ", &request.header(name), "\r\n"]);
        }
        text += "Content-Length: 0\r\n\r\n";
        self.socket.send_to(text.as_bytes(), self.far).await.unwrap();
    }

    /// Talks and listens for a while; gives back what was heard.
    pub(crate) async fn talk(
        &self,
        clock: &Clock,
        params: &MediaParams,
        clip: Option<Clip>,
        length: Duration,
    ) -> Talker {
        let identity = Identity { ssrc: 1, sequence: 1, timestamp: 1 };
        let now = clock().mono;
        let mut talker = Talker::new(now, params.codec, params.payload_type, identity);
        if let Some(clip) = clip {
            talker.say(now, clip);
        }
        let end: Mono = now + length;
        let mut buffer = [0; 2_048];
        while clock().mono < end {
            while let Some(packet) = talker.poll(clock().mono) {
                self.rtp.send_to(&packet, params.remote).await.unwrap();
            }
            let wait = Duration::from_millis(5);
            if let Ok(received) = timeout(wait, self.rtp.recv_from(&mut buffer)).await {
                talker.handle(clock().mono, &buffer[..received.unwrap().0]);
            }
        }
        talker
    }
}

/// A message from the far side.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) text: String,
}

impl Incoming {
    pub(crate) fn status(&self) -> Option<u16> {
        self.text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let lines = self.text.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next().unwrap()
    }

    pub(crate) fn media(&self) -> MediaParams {
        let body = self.text.split_once("\r\n\r\n").unwrap().1;
        sdp::read_answer(body.as_bytes()).unwrap()
    }
}
