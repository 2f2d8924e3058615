package account

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// Authority is who knows whether a password is right.
type Authority interface {
	// Try lets the user prove itself; client is its address, "" if ByClient is
	// false. The error contains a *wire.Err if it was
	// refused, auth.ErrHashOnly if the credential lacks the password.
	Try(ctx context.Context, user, client string, c *pool.Credential) error
	// ByClient reports whether it matters where a client comes from.
	ByClient() bool
	// NativeHashes returns the hashes of the accounts of this name that
	// mysql_native_password checks. all: there are no others of the name, as far
	// as can be read.
	NativeHashes(ctx context.Context, user string) (hashes [][sha1.Size]byte, all bool, err error)
}

// errThrottled says that an offer was refused without being tried.
var errThrottled = fmt.Errorf("too many wrong passwords from this client, not tried: %w",
	wire.NewErr(wire.CodeAccessDenied, "Access denied"))

// maxKnown bounds the accounts kept in mind.
const maxKnown = 10_000

// Directory knows the accounts whose passwords have proved right. It is safe
// for concurrent use.
type Directory struct {
	authority Authority
	now       func() time.Time
	room      int // for accounts: maxKnown, except in tests

	mu       sync.Mutex // never held while the authority is asked
	recheck  time.Duration
	accounts map[who]*account // those known or being tried
	limits   limiter
}

// who is an account by name, and where its client comes from if that matters.
type who struct{ user, client string }

func (d *Directory) who(user, client string) who {
	if !d.authority.ByClient() {
		client = ""
	}
	return who{user, client}
}

// account is one account.
type account struct {
	// turns has a place for one: offers of the same user are tried one by one,
	// so that the second of two that are the same need not be. checks is the
	// same for what is known already, which wrong offers are not to hold up.
	turns, checks chan struct{}

	// Guarded by Directory.mu.
	known *known // nil = nothing
	// doubtful: a server has refused what is known, to a session.
	doubtful bool
	trying   int // calls that use the account
}

// known is what has proved right. It is immutable.
type known struct {
	verifier   auth.Verifier
	credential *pool.Credential
	at         time.Time
}

// New returns a directory that knows nobody. What it knows is good for the time
// recheck; later logins have the authority confirm it first. 0 = for ever.
func New(authority Authority, recheck time.Duration) *Directory {
	return &Directory{authority: authority, now: time.Now, room: maxKnown, recheck: recheck, accounts: map[who]*account{}}
}

// SetRecheck changes the time what is known is good for.
func (d *Directory) SetRecheck(recheck time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recheck = recheck
}

// Find returns what is known of an account, and the credential that goes with
// it, nil if nothing is; client is the client's host. What has not been confirmed for a while is confirmed
// first, for which ctx may bound the wait.
func (d *Directory) Find(ctx context.Context, user, client string) (auth.Verifier, *pool.Credential) {
	k := d.confirmed(ctx, d.who(user, client))
	if k == nil {
		return verifier{}, nil
	}
	return verifier{k.verifier}, k.credential
}

// confirmed returns what is known of an account, as of now.
func (d *Directory) confirmed(ctx context.Context, w who) *known {
	if k, fresh := d.look(w); k == nil || fresh {
		return k
	}
	a := d.enter(w)
	defer d.leave(w, a)
	if !take(ctx, a.checks) {
		return nil
	}
	defer func() { <-a.checks }()
	k, fresh := d.look(w)
	if k == nil || fresh {
		return k // somebody else has confirmed it meanwhile
	}
	switch err := d.authority.Try(ctx, w.user, w.client, k.credential); judge(err) {
	case admitted:
		return d.learn(w, k.verifier, k.credential)
	case refused, lacking:
		d.forget(w, k)
		return nil
	}
	// Nobody to ask. As long as that is so, what was true last is of no use to
	// anybody who should not have it.
	return k
}

// Judge tries what the verifier of Find could not tell. Right comes with the
// credential that has proved right; Unknown means that only the password itself
// would do. An error says more about a Wrong: a *wire.Err in it is the server's
// answer, other errors are why nobody could be asked.
func (d *Directory) Judge(ctx context.Context, user, client string, offer auth.Offer) (auth.Fast, *pool.Credential, error) {
	if !d.allow(user, client) {
		return auth.Wrong, nil, errThrottled
	}
	w := d.who(user, client)
	a := d.enter(w)
	defer d.leave(w, a)
	if !take(ctx, a.turns) {
		return auth.Wrong, nil, context.Cause(ctx)
	}
	defer func() { <-a.turns }()
	if k, fresh := d.look(w); k != nil && fresh && k.matches(&offer) {
		d.refund(user, client)
		return auth.Right, k.credential, nil
	}
	credential, outcome := d.credential(ctx, user, &offer)
	if credential == nil {
		if outcome != auth.Wrong {
			d.refund(user, client)
		}
		return outcome, nil, nil
	}
	err := d.authority.Try(ctx, w.user, w.client, credential)
	switch judge(err) {
	case admitted:
		d.refund(user, client)
		return auth.Right, d.learn(w, credential.Verifier(), credential).credential, nil
	case lacking:
		d.refund(user, client)
		return auth.Unknown, nil, nil
	case nobody:
		d.refund(user, client)
	}
	return auth.Wrong, nil, err
}

// credential makes of an offer what can be tried; nil if the offer is not worth
// a try, with what to say of it.
func (d *Directory) credential(ctx context.Context, user string, offer *auth.Offer) (*pool.Credential, auth.Fast) {
	if offer.Response == nil {
		return &pool.Credential{Password: offer.Password}, auth.Unknown
	}
	if offer.Plugin != auth.NativePassword {
		return nil, auth.Unknown
	}
	hashes, all, err := d.authority.NativeHashes(ctx, user)
	if err != nil {
		return nil, auth.Unknown // they may not be read: the password will do
	}
	for _, hash := range hashes {
		if key, ok := auth.RecoverNativeKey(hash, offer.Salt, offer.Response); ok {
			return &pool.Credential{Native: &key}, auth.Unknown
		}
	}
	if all {
		return nil, auth.Wrong
	}
	return nil, auth.Unknown
}

// matches reports whether an offer is what has proved right before.
func (k *known) matches(offer *auth.Offer) bool {
	if offer.Response == nil {
		return k.verifier.CheckPassword([]byte(offer.Password)) == auth.Right
	}
	return k.verifier.CheckResponse(offer.Plugin, offer.Salt, offer.Response) == auth.Right
}

// look returns what is known, and whether it need not be confirmed.
func (d *Directory) look(w who) (k *known, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.accounts[w]
	if a == nil || a.known == nil {
		return nil, false
	}
	if a.known.credential.Refused() {
		a.doubtful = true
	}
	return a.known, !a.doubtful && (d.recheck == 0 || d.now().Sub(a.known.at) < d.recheck)
}

// learn keeps what has just proved right. What was known before is out of date,
// unless it is the same.
func (d *Directory) learn(w who, v auth.Verifier, c *pool.Credential) *known {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.accounts[w] // the caller is in it
	if old := a.known; old != nil && old.credential != c {
		if same(old.credential, c) {
			c = old.credential
		} else {
			old.credential.Retire()
		}
	}
	if a.known == nil && len(d.accounts) > d.room {
		d.forgetAny()
	}
	a.known, a.doubtful = &known{verifier: v, credential: c, at: d.now()}, false
	return a.known
}

// same reports whether two credentials prove the same.
func same(a, b *pool.Credential) bool {
	if a.Native == nil || b.Native == nil {
		return a.Native == b.Native && a.Password == b.Password
	}
	return *a.Native == *b.Native
}

// forget drops what has turned out not to be true any more.
func (d *Directory) forget(w who, k *known) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a := d.accounts[w]; a != nil && a.known != nil && a.known.credential == k.credential {
		k.credential.Retire()
		a.known = nil
	}
}

// forgetAny makes room. d.mu is held.
func (d *Directory) forgetAny() {
	for w, a := range d.accounts {
		if a.known != nil && a.trying == 0 {
			a.known.credential.Retire()
			delete(d.accounts, w)
			return
		}
	}
}

// enter keeps an account in the books until leave.
func (d *Directory) enter(w who) *account {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.accounts[w]
	if a == nil {
		a = &account{turns: make(chan struct{}, 1), checks: make(chan struct{}, 1)}
		d.accounts[w] = a
	}
	a.trying++
	return a
}

func (d *Directory) leave(w who, a *account) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.trying--; a.trying == 0 && a.known == nil {
		delete(d.accounts, w)
	}
}

func (d *Directory) allow(user, client string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.limits.take(user, client, d.now())
}

// refund gives back what an offer has cost that was not wrong.
func (d *Directory) refund(user, client string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limits.giveBack(user, client)
}

// take waits for the one place in turns, until ctx ends.
func take(ctx context.Context, turns chan struct{}) bool {
	select {
	case turns <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// judgement is what a try has shown.
type judgement byte

const (
	admitted judgement = iota
	refused            // the account is not to be used like this
	lacking            // the credential is not enough to tell
	nobody             // there is nobody to ask, or no room to be asked in
)

// judge reads the outcome of a try.
func judge(err error) judgement {
	var e *wire.Err
	switch {
	case err == nil:
		return admitted
	case errors.Is(err, auth.ErrHashOnly):
		return lacking
	case errors.Is(err, auth.ErrUnknownPlugin):
		// MySQL 9.7 asks users it does not have for a plugin at random, among
		// them sha256_password. Accounts that have it are of no use here.
		return refused
	case !errors.As(err, &e):
		return nobody
	}
	switch e.Code {
	case wire.CodeMustChangePassword:
		// MariaDB lets users with an expired password in, and has them change
		// it: each statement gets this error, Telamon's own too.
		return admitted
	case wire.CodeConCount, wire.CodeTooManyUserConns, wire.CodeUserLimitReached, wire.CodeServerShutdown,
		wire.CodeServerOfflineMode, wire.CodeHostBlocked, wire.CodeBadHost:
		return nobody
	}
	return refused
}
