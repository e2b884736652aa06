//! The page at `/`, for a person who opened the server's address in a browser.

use super::ServerInfo;

/// The page. Every value in it is one of ours (a checked host name, hex digits), so nothing needs escaping.
pub(super) fn landing(info: &ServerInfo) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>CommuCat</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}}\
         code{{overflow-wrap:anywhere}}</style>\n\
         <h1>CommuCat</h1>\n\
         <p>This is the relay of <strong>{}</strong>. Clients talk CCP-1 to it at <code>POST /connect</code>.</p>\n\
         <p>Its Noise public key is <code>{}</code>.</p>\n\
         <p><a href=\"/api/server-info\">Server information</a> · <a href=\"/healthz\">Health</a> · \
         <a href=\"/readyz\">Readiness</a></p>\n</html>\n",
        info.domain,
        info.noise.public()
    )
}
