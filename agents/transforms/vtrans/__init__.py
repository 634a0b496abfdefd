"""VTrans: which heads, units and layers go is learned by noise on each of them."""
