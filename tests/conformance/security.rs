//! Security Considerations.

use commucat_tests::curl::curl;

use crate::ground::Statement;

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Security Considerations",
        words: "TLS 1.3 is mandatory",
        check: |ground| {
            let url = format!("{}/healthz", ground.relay.url());
            assert_eq!(curl(&["--tlsv1.3", &url]).unwrap().status, 200);
            assert!(curl(&["--tls-max", "1.2", &url]).is_err(), "it speaks TLS 1.2");
        },
    },
    Statement {
        section: "Security Considerations",
        words: "Noise handshake authenticates devices through pre-registered static keys",
        check: |ground| {
            let device = ground.device("ada");
            ground.connect(&device).bye();
            ground.connect(&device).bye();
            let impostor = ground.device("ada");
            let problem = impostor.refused(ground.relay, impostor.config(ground.relay, ground.http));
            assert_eq!(problem.title, "Handshake Failed");
        },
    },
];
