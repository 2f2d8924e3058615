package account

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// truth is an Authority in memory.
type truth struct {
	mu        sync.Mutex
	passwords map[string]string
	native    map[string]bool // accounts of mysql_native_password
	err       error           // of every try
	readable  bool            // NativeHashes works
	tries     int
	slow      time.Duration
	from      string // the one address accounts may come from; "" = it does not matter
}

func (w *truth) ByClient() bool { return w.from != "" }

func (w *truth) Try(_ context.Context, user, client string, c *pool.Credential) error {
	time.Sleep(w.slow) // of a synctest bubble
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tries++
	if w.from != "" && client != w.from {
		return wire.NewErr(wire.CodeAccessDenied, "Access denied from there")
	}
	password, ok := w.passwords[user]
	right := c.Password == password
	switch {
	case w.err != nil:
		return w.err
	case c.Native != nil && !w.native[user]:
		return fmt.Errorf("log in: %w", auth.ErrHashOnly)
	case c.Native != nil:
		right = *c.Native == auth.NativeKey(sha1.Sum([]byte(password)))
	}
	if !ok || !right {
		return fmt.Errorf("log in: %w", wire.NewErr(wire.CodeAccessDenied, "Access denied for telamon"))
	}
	return nil
}

func (w *truth) NativeHashes(_ context.Context, user string) ([][sha1.Size]byte, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	password, ok := w.passwords[user]
	switch {
	case !w.readable:
		return nil, false, errors.New("SELECT command denied")
	case ok && w.native[user]:
		return [][sha1.Size]byte{auth.NativeKey(sha1.Sum([]byte(password))).Hash()}, true, nil
	}
	return nil, !ok, nil
}

func (w *truth) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func offer(password string) auth.Offer { return auth.Offer{Password: password} }

func nativeOffer(password string) auth.Offer {
	salt := auth.NewSalt()
	return auth.Offer{Plugin: auth.NativePassword, Salt: salt[:], Response: auth.NativeScramble(password, salt[:])}
}

func newTruth() *truth {
	return &truth{passwords: map[string]string{"app": "old", "nat": "pw"}, native: map[string]bool{"nat": true}, readable: true}
}

const recheck = time.Second

func mustJudge(t *testing.T, d *Directory, user string, o auth.Offer, want auth.Fast) *pool.Credential {
	t.Helper()
	got, c, err := d.Judge(context.Background(), user, "10.0.0.1", o)
	if got != want || (c != nil) != (want == auth.Right) {
		t.Fatalf("judged %d, credential %v, %v; want %d", got, c, err, want)
	}
	return c
}

func TestWhatHasProvedRightIsKnown(t *testing.T) {
	w := newTruth()
	d := New(w, recheck)
	if v, c := d.Find(context.Background(), "app", "10.0.0.1"); c != nil || v.CheckPassword([]byte("old")) != auth.Unknown {
		t.Fatal("something is known of an account nobody has used")
	}
	c := mustJudge(t, d, "app", offer("old"), auth.Right)
	v, found := d.Find(context.Background(), "app", "10.0.0.1")
	salt := auth.NewSalt()
	switch {
	case found != c:
		t.Error("another credential is found than was judged")
	case v.CheckPassword([]byte("old")) != auth.Right, v.CheckResponse(auth.CachingSHA2, salt[:], auth.SHA2Scramble("old", salt[:])) != auth.Right:
		t.Error("the right password is not known")
	case v.CheckPassword([]byte("new")) != auth.Unknown, v.CheckResponse(auth.CachingSHA2, salt[:], auth.SHA2Scramble("new", salt[:])) != auth.Unknown:
		t.Error("another password is not left to the servers")
	}
	if again := mustJudge(t, d, "app", offer("old"), auth.Right); again != c || w.tries != 1 {
		t.Errorf("the same offer makes another credential, or was tried again: %d tries", w.tries)
	}
	mustJudge(t, d, "app", offer("wrong"), auth.Wrong)
	if _, found := d.Find(context.Background(), "app", "10.0.0.1"); found != c {
		t.Error("a wrong offer has changed what is known")
	}
}

// The case of ProxySQL#936: the servers change, Telamon follows.
func TestWhatTheServersChangeHoldsAfterTheRecheck(t *testing.T) {
	for name, change := range map[string]func(w *truth){
		"password changed": func(w *truth) { w.passwords["app"] = "new" },
		"dropped":          func(w *truth) { delete(w.passwords, "app") },
		"dropped, and the server asks for anything": func(w *truth) {
			w.err = fmt.Errorf("logging in: %w", auth.ErrUnknownPlugin)
		},
		"locked": func(w *truth) { w.err = wire.NewErr(wire.CodeAccountLocked, "locked") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTruth()
				d := New(w, recheck)
				mustJudge(t, d, "app", offer("old"), auth.Right)
				w.set(func() { change(w) })
				time.Sleep(recheck - 1)
				if _, c := d.Find(t.Context(), "app", "10.0.0.1"); c == nil || w.tries != 1 {
					t.Fatal("looked again too early")
				}
				time.Sleep(1)
				if v, c := d.Find(t.Context(), "app", "10.0.0.1"); c != nil || v.CheckPassword([]byte("old")) == auth.Right {
					t.Fatal("the old password is still known")
				}
				mustJudge(t, d, "app", offer("old"), auth.Wrong)
			})
		})
	}
}

func TestANewPasswordIsRightAtOnce(t *testing.T) {
	w := newTruth()
	d := New(w, recheck)
	old := mustJudge(t, d, "app", offer("old"), auth.Right)
	w.passwords["app"] = "new"
	c := mustJudge(t, d, "app", offer("new"), auth.Right)
	if c == old {
		t.Error("sessions with the new password share connections with those of the old one")
	}
}

func TestAnUnchangedAccountKeepsItsCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTruth()
		d := New(w, recheck)
		c := mustJudge(t, d, "app", offer("old"), auth.Right)
		for range 3 {
			time.Sleep(recheck)
			if _, found := d.Find(t.Context(), "app", "10.0.0.1"); found != c {
				t.Fatal("another credential")
			}
		}
		if w.tries != 4 {
			t.Errorf("%d tries", w.tries)
		}
	})
}

func TestWhatIsKnownOutlivesServersThatCannotBeAsked(t *testing.T) {
	for _, down := range []error{errors.New("connection refused"), wire.NewErr(wire.CodeConCount, "Too many connections")} {
		synctest.Test(t, func(t *testing.T) {
			w := newTruth()
			d := New(w, recheck)
			c := mustJudge(t, d, "app", offer("old"), auth.Right)
			w.set(func() { w.err = down })
			time.Sleep(recheck)
			if _, found := d.Find(t.Context(), "app", "10.0.0.1"); found != c {
				t.Error("forgotten although nobody has said that it is wrong")
			}
			if outcome, _, err := d.Judge(t.Context(), "app", "h", offer("new")); outcome != auth.Wrong || !errors.Is(err, down) {
				t.Errorf("judged %d, %v", outcome, err)
			}
		})
	}
}

func TestManyClientsAtOnceAreOneTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTruth()
		w.slow = 10 * time.Millisecond
		d := New(w, recheck)
		login := func() {
			var wg sync.WaitGroup
			for range 500 {
				wg.Go(func() {
					if v, _ := d.Find(t.Context(), "app", "10.0.0.1"); v.CheckPassword([]byte("old")) != auth.Right {
						// As many clients as these have more than a burst of offers.
						if outcome, _, err := d.Judge(t.Context(), "app", fmt.Sprint(&v), offer("old")); outcome != auth.Right {
							t.Errorf("%d %v", outcome, err)
						}
					}
				})
			}
			wg.Wait()
		}
		login()
		time.Sleep(recheck)
		login()
		if w.tries != 2 {
			t.Errorf("%d tries", w.tries)
		}
	})
}

func TestNativeAnswersAreEnoughWhereTheHashCanBeRead(t *testing.T) {
	w := newTruth()
	d := New(w, recheck)
	c := mustJudge(t, d, "nat", nativeOffer("pw"), auth.Right)
	if c.Native == nil || c.Password != "" {
		t.Errorf("credential %+v", c)
	}
	v, _ := d.Find(t.Context(), "nat", "10.0.0.1")
	if o := nativeOffer("pw"); v.CheckResponse(o.Plugin, o.Salt, o.Response) != auth.Right || v.CheckPassword([]byte("pw")) != auth.Right {
		t.Error("not known afterwards")
	}
	mustJudge(t, d, "nat", nativeOffer("wrong"), auth.Wrong)
	mustJudge(t, d, "nobody", nativeOffer("x"), auth.Wrong)  // as unknown as a wrong password
	mustJudge(t, d, "app", nativeOffer("old"), auth.Unknown) // an account of another plugin
	w.readable = false
	mustJudge(t, New(w, recheck), "nat", nativeOffer("pw"), auth.Unknown)
	mustJudge(t, New(w, recheck), "nobody", nativeOffer("pw"), auth.Unknown)
}

// FAULTS: nobody guesses faster through Telamon than the limit says, and the
// servers are not kept busy.
func TestWrongOffersAreLimitedPerClientAndUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTruth()
		d := New(w, recheck)
		for range 1000 {
			mustJudge(t, d, "app", offer("wrong"), auth.Wrong)
		}
		if w.tries != burstUser {
			t.Fatalf("%d tries of 1000 wrong offers", w.tries)
		}
		_, _, err := d.Judge(t.Context(), "app", "10.0.0.1", offer("old"))
		if !errors.Is(err, errThrottled) {
			t.Errorf("%v", err)
		}
		if outcome, _, _ := d.Judge(t.Context(), "app", "10.0.0.2", offer("old")); outcome != auth.Right {
			t.Error("another client is kept out")
		}
		time.Sleep(3 * time.Second)
		before := w.tries
		for range 100 {
			_, _, _ = d.Judge(t.Context(), "app", "10.0.0.1", offer("wrong"))
		}
		if n := w.tries - before; n != 3*rateUser {
			t.Errorf("%d tries after 3 s", n)
		}
		before = w.tries
		for i := range 1000 {
			_, _, _ = d.Judge(t.Context(), fmt.Sprint("user", i), "10.0.0.1", offer("x"))
		}
		if n := w.tries - before; n > burstClient {
			t.Errorf("%d tries with as many names", n)
		}
		if len(d.accounts) > 1 {
			t.Errorf("%d accounts are kept for names that nobody has", len(d.accounts))
		}
	})
}

func TestWhatTheServersSayIsPassedOn(t *testing.T) {
	w := newTruth()
	w.err = fmt.Errorf("log in: %w", wire.NewErr(wire.CodeMustChangePasswordLog, "Your password has expired"))
	_, _, err := New(w, recheck).Judge(t.Context(), "app", "h", offer("old"))
	var e *wire.Err
	if !errors.As(err, &e) || e.Code != wire.CodeMustChangePasswordLog {
		t.Errorf("%v", err)
	}
	w.err = wire.NewErr(wire.CodeMustChangePassword, "MariaDB lets them in") // H35
	mustJudge(t, New(w, recheck), "app", offer("old"), auth.Right)
}

func TestKnownAccountsAreBounded(t *testing.T) {
	w := newTruth()
	d := New(w, recheck)
	d.room = 20
	for i := range d.room + 10 {
		user := fmt.Sprint("u", i)
		w.passwords[user] = "p"
		mustJudge(t, d, user, offer("p"), auth.Right)
	}
	if len(d.accounts) > d.room+1 {
		t.Errorf("%d accounts", len(d.accounts))
	}
}

func TestTheLimiterIsBounded(t *testing.T) {
	var l limiter
	now := time.Now()
	for i := range 3 * maxBuckets {
		l.take("u", fmt.Sprint(i), now)
	}
	if len(l.buckets) > maxBuckets {
		t.Errorf("%d buckets", len(l.buckets))
	}
	if !l.take("u", "late", now.Add(time.Hour)) {
		t.Error("no room is made")
	}
}

func TestHashesOfTheConfiguration(t *testing.T) {
	native, _ := ParseHash("*14E65567ABDB5135D0CFD9A70B3032C179A49EE7") // "secret"
	h := Hashes{"n": native}
	d := New(h, 0)
	mustJudge(t, d, "n", nativeOffer("secret"), auth.Right)
	mustJudge(t, d, "n", nativeOffer("wrong"), auth.Wrong)
	mustJudge(t, d, "n", offer("secret"), auth.Right)
	mustJudge(t, d, "nobody", nativeOffer("secret"), auth.Wrong)
	mustJudge(t, d, "nobody", offer(""), auth.Wrong)
	if _, ok := ParseHash("secret"); ok {
		t.Error("a password is taken for a hash")
	}
}

func TestAccountsMayDependOnWhereAClientIs(t *testing.T) {
	w := newTruth()
	w.from = "10.0.0.1"
	d := New(w, recheck)
	c := mustJudge(t, d, "app", offer("old"), auth.Right)
	if _, found := d.Find(t.Context(), "app", "10.0.0.1"); found != c {
		t.Error("not known where it was shown")
	}
	if _, found := d.Find(t.Context(), "app", "10.0.0.2"); found != nil {
		t.Error("known elsewhere")
	}
	if outcome, _, _ := d.Judge(t.Context(), "app", "10.0.0.2", offer("old")); outcome != auth.Wrong {
		t.Error("let in elsewhere")
	}
}
