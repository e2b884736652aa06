//! Proofs in HELLO that hold, and those that do not.

use commucat_crypto::zkp::{Context, Proof, device_keys};

use crate::support::Seeded;

const NOISE: [u8; 32] = [9; 32];

fn context(public: &[u8; 32]) -> Context<'_> {
    Context {
        domain: "example.org",
        device_id: "ada",
        device_public: public,
        client_static: &NOISE,
    }
}

#[test]
fn the_public_key_of_a_seed_is_the_one_of_rfc_8032() {
    // RFC 8032, section 7.1, test 1.
    let mut seed = [0; 32];
    hex::decode_to_slice(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        &mut seed,
    )
    .unwrap();
    let (_, public) = device_keys(&seed);
    assert_eq!(
        hex::encode(public),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
}

#[test]
fn a_proof_holds_for_what_it_was_made_for_and_nothing_else() {
    let (secret, public) = device_keys(&[1; 32]);
    let (_, other) = device_keys(&[2; 32]);
    let good = context(&public);
    let proof = good.prove(&secret, &mut Seeded(7));
    assert!(good.verify(&proof));
    let wrong = [
        Context {
            domain: "example.com",
            ..good
        },
        Context {
            device_id: "bob",
            ..good
        },
        Context {
            domain: "example.or",
            device_id: "gada",
            ..good
        },
        Context {
            client_static: &[8; 32],
            ..good
        },
        Context {
            device_public: &other,
            ..good
        },
    ];
    for context in wrong {
        assert!(!context.verify(&proof), "{context:?}");
    }
}

#[test]
fn no_flipped_bit_leaves_a_proof() {
    let (secret, public) = device_keys(&[3; 32]);
    let context = context(&public);
    let proof = context.prove(&secret, &mut Seeded(8));
    for bit in 0..512 {
        let mut bad: Proof = proof;
        let part = if bit < 256 {
            &mut bad.commitment
        } else {
            &mut bad.response
        };
        part[bit % 256 / 8] ^= 1 << (bit % 8);
        assert!(!context.verify(&bad), "bit {bit}");
    }
}

#[test]
fn a_key_of_small_order_proves_nothing() {
    // The identity: any commitment that is response · B would do.
    let mut identity = [0; 32];
    identity[0] = 1;
    let zero = Proof {
        commitment: identity,
        response: [0; 32],
    };
    assert!(!context(&identity).verify(&zero));
}
