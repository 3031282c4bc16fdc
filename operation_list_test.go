package netstream

import "testing"

// The list is tried in every short sequence against a slice.
func TestOperation_ListsInEverySequence(t *testing.T) {
	const depth, events = 6, 6
	var walk func(path []int)
	walk = func(path []int) {
		var l, other opList
		var model []*operation
		for i, event := range path {
			op := &operation{size: int64(i)}
			switch event {
			case 0:
				l.pushBack(op)
				model = append(model, op)
			case 1:
				l.pushFront(op)
				model = append([]*operation{op}, model...)
			case 2:
				got := l.popFront()
				if len(model) == 0 != (got == nil) || got != nil && got != model[0] {
					t.Fatal(path, "popFront")
				}
				model = model[min(1, len(model)):]
				wantNoLinks(t, path, got)
			case 3, 4:
				if at := (event - 3) * 1; at < len(model) {
					l.remove(model[at])
					wantNoLinks(t, path, model[at])
					model = append(model[:at:at], model[at+1:]...)
				}
			case 5:
				second := &operation{size: int64(i)}
				other.pushBack(op)
				other.pushBack(second)
				l.splice(&other)
				model = append(model[:len(model):len(model)], op, second)
			}
		}
		wantList(t, path, &l, model)
		wantList(t, path, &other, nil)
		if len(path) < depth {
			for event := range events {
				walk(append(path[:len(path):len(path)], event))
			}
		}
	}
	walk(nil)
}

func wantNoLinks(t *testing.T, path []int, op *operation) {
	t.Helper()
	if op != nil && (op.next != nil || op.prev != nil) {
		t.Fatal(path, "what was taken out still points to others")
	}
}

func wantList(t *testing.T, path []int, l *opList, want []*operation) {
	t.Helper()
	var before *operation
	op := l.head
	for _, w := range want {
		if op != w || op.prev != before {
			t.Fatal(path, "not what was put in")
		}
		before, op = op, op.next
	}
	if op != nil || l.tail != before || l.empty() != (len(want) == 0) {
		t.Fatal(path, "the end is wrong")
	}
}
